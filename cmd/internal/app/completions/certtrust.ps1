# Completion of certtrust's command lines for PowerShell, version 5 or newer.
# "certtrust __complete" does the work.

Register-ArgumentCompleter -Native -CommandName 'certtrust', 'certtrust.exe' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # Before version 7.3 an empty argument is lost unless it is written as
    # two quotes.
    $empty = ''
    if ($PSVersionTable.PSVersion -lt [version]'7.3' -or $PSNativeCommandArgumentPassing -eq 'Legacy') {
        $empty = '""'
    }

    # The words before the one at the cursor, without their quotes, and that
    # one as it is typed.
    $words = @('__complete', '--shell=powershell', '--')
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $text = $element.Extent.Text
        if ($element -is [System.Management.Automation.Language.StringConstantExpressionAst]) {
            $text = $element.Value
        }
        if ($text -eq '') { $text = $empty }
        $words += $text
    }
    if ($wordToComplete -eq '') { $words += $empty } else { $words += "$wordToComplete" }

    $program = $commandAst.CommandElements[0].Extent.Text
    if (-not (Get-Command -Name $program -CommandType Application -ErrorAction SilentlyContinue)) {
        $program = 'certtrust'
    }
    $answers = @(& $program @words 2>$null)
    if ($answers.Count -eq 0) { return }

    # The last line says what else there may be, and after what beginning.
    $directive, $head = $answers[-1] -split "`t", 2
    $results = @()
    foreach ($answer in ($answers | Select-Object -SkipLast 1)) {
        $value, $about = $answer -split "`t", 2
        if (-not $about) { $about = $value }
        $kind = if ($value.StartsWith('-')) { 'ParameterName' } else { 'ParameterValue' }
        $results += [System.Management.Automation.CompletionResult]::new($value, $value, $kind, $about)
    }
    if ($directive -ne ':none' -and $head -and $wordToComplete.StartsWith($head)) {
        $file = $wordToComplete.Substring($head.Length)
        foreach ($path in [System.Management.Automation.CompletionCompleters]::CompleteFilename($file)) {
            $results += [System.Management.Automation.CompletionResult]::new(
                $head + $path.CompletionText, $path.ListItemText, $path.ResultType, $path.ToolTip)
        }
    }
    if ($results.Count -gt 0) { return $results }

    # PowerShell completes the names of files if it is given nothing at all.
    if ($directive -eq ':none') { return '' }
}
