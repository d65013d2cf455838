package diagnose

import "fmt"

// Lang is a language that messages are written in.
type Lang string

// The languages.
const (
	English  Lang = "en"
	Japanese Lang = "ja"
)

// Text is a message in each language. It may hold the verbs of fmt, with
// argument indexes where the languages order things differently.
type Text struct{ EN, JA string }

// In returns the message in a language, with the arguments put in.
func (t Text) In(lang Lang, args ...any) string {
	format := t.EN
	if lang == Japanese {
		format = t.JA
	}
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}
