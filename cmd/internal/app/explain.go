package app

import (
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/render"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

func (a *App) explainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "say what an error message of another program can be caused by",
		ArgsUsage: "TEXT...|-",
		Description: `Takes what a browser, curl, Git, Java, .NET, Go, Node, Python, OpenSSL, Windows
or macOS has written: the name, the number or the sentence, in English or
Japanese, also a whole page of it. Unknown text ends with exit code 3.

   certtrust explain NET::ERR_CERT_AUTHORITY_INVALID
   certtrust explain 0x800B0109
   certtrust explain OSStatus -67843
   curl https://intra.example.com 2>&1 | certtrust explain -`,
		Flags:  []cli.Flag{langFlag(), formatFlag(render.Formats())},
		Action: a.explain,
	}
}

func (a *App) explain(c *cli.Context) error {
	lang, err := a.language(c)
	if err != nil {
		return err
	}
	words := c.Args().Slice()
	var text string
	switch {
	case len(words) == 0:
		return usageHint("certtrust explain NET::ERR_CERT_AUTHORITY_INVALID", "explain needs the text of an error, or \"-\" to read it from standard input")
	case slices.Equal(words, []string{"-"}):
		if a.Streams.InTTY {
			a.Streams.Noticef("reading the error from standard input")
		}
		// One byte more, so that it is seen that there is more.
		data, err := io.ReadAll(io.LimitReader(a.Streams.In, diagnose.MaxExplained+1))
		if err != nil {
			return &store.Error{Op: "read", Path: "standard input", Err: store.Because(store.ErrInput, "%w", err)}
		}
		text = string(data)
	default:
		text = strings.Join(words, " ")
	}
	if strings.TrimSpace(text) == "" {
		return usage("there is no text to explain")
	}
	e := diagnose.Explain(text)
	if err := a.write(c, render.NewExplainDoc(e, lang)); err != nil {
		return err
	}
	if !e.Recognised {
		return &store.Error{Err: store.Because(store.ErrNotFound, "%s", unknownError.In(lang)), Hint: unknownErrorHint.In(lang)}
	}
	return nil
}

// What is said of a text that no error was found in.
var (
	unknownError     = diagnose.Text{EN: "this is no error message that certtrust knows", JA: "certtrust が知っているエラーメッセージではありません"}
	unknownErrorHint = diagnose.Text{EN: "certtrust diagnose HOST looks at the server itself", JA: "certtrust diagnose HOST でサーバー自体を調べられます"}
)
