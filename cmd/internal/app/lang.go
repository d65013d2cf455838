package app

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// langFlag is the flag of the commands that write sentences in more than one
// language. language returns what it comes to.
func langFlag() cli.Flag {
	return &cli.StringFlag{Name: "lang", Usage: "write in `LANGUAGE`: " + words(languages()), DefaultText: "that of the environment"}
}

// languages are the values of --lang.
func languages() []string { return []string{string(diagnose.English), string(diagnose.Japanese)} }

// localeVariables say which language a person reads; the first that is set
// counts, as POSIX has it.
var localeVariables = []string{"LC_ALL", "LC_MESSAGES", "LANG"}

// language returns the language to write in: what --lang says, else that of
// the environment, English if that is none that we know.
func (a *App) language(c *cli.Context) (diagnose.Lang, error) {
	if text := c.String("lang"); c.IsSet("lang") {
		if !slices.Contains(languages(), text) {
			return "", usage("--lang %s: not one of %s", store.Printable(text), words(languages()))
		}
		return diagnose.Lang(text), nil
	}
	for _, name := range localeVariables {
		locale := a.Host.Env(name)
		if locale == "" {
			continue
		}
		// Such as ja_JP.UTF-8, ja or ja-JP.
		code, _, _ := strings.Cut(strings.NewReplacer(".", "_", "@", "_", "-", "_").Replace(locale), "_")
		if code = strings.ToLower(code); slices.Contains(languages(), code) {
			return diagnose.Lang(code), nil
		}
		break
	}
	return diagnose.English, nil
}
