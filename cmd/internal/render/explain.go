package render

import (
	"cmp"
	"slices"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store/diagnose"
)

// ExplainDoc tells what an error message comes to.
type ExplainDoc struct {
	Schema     string         `json:"schema"`
	Lang       diagnose.Lang  `json:"lang" jsonschema:"the language of titles, meanings and names: en or ja"`
	Recognised bool           `json:"recognised" jsonschema:"whether the text holds an error that is known"`
	Truncated  bool           `json:"truncated,omitempty" jsonschema:"the text was too long: only its beginning was looked at"`
	Server     string         `json:"server,omitempty" jsonschema:"the server that the text names, HOST or HOST:PORT"`
	Matched    []ExplainMatch `json:"matched" jsonschema:"the errors in it, in the order of the text"`
	Causes     []ExplainCause `json:"causes" jsonschema:"what can be behind it, the likeliest first"`
	Fixes      []ExplainFix   `json:"fixes" jsonschema:"what the IDs of the causes' fixes mean"`
	Next       []string       `json:"next" jsonschema:"commands that find out which it is"`
}

// ExplainMatch is an error that was recognised.
type ExplainMatch struct {
	Symptom   string   `json:"symptom" jsonschema:"its name, or the sentence"`
	Client    string   `json:"client" jsonschema:"who says so: chromium, firefox, openssl, java, windows and others"`
	Speaker   string   `json:"speaker" jsonschema:"the same for people"`
	Text      string   `json:"text" jsonschema:"as it stands in what was given; untrusted text"`
	Start     int      `json:"start" jsonschema:"where that begins, in bytes"`
	End       int      `json:"end"`
	Causes    []string `json:"causes" jsonschema:"codes of what can be behind it"`
	Vague     bool     `json:"vague,omitempty" jsonschema:"it only says that something is wrong: it does not count beside an error that says more"`
	Number    bool     `json:"number,omitempty" jsonschema:"the number of the error stands there, not its name"`
	Ambiguous bool     `json:"ambiguous,omitempty" jsonschema:"a number alone that means something in several programs"`
	Source    string   `json:"source" jsonschema:"where that text or number is defined"`
}

// ExplainCause is something that can be behind the errors.
type ExplainCause struct {
	Code       string              `json:"code"`
	Confidence diagnose.Confidence `json:"confidence" jsonschema:"likely or possible"`
	Title      string              `json:"title"`
	Meaning    string              `json:"meaning"`
	Tell       string              `json:"tell,omitempty" jsonschema:"how to find out whether it is this"`
	Fixes      []string            `json:"fixes" jsonschema:"IDs of what can be done about it, the best first"`
	Symptoms   []string            `json:"symptoms" jsonschema:"the errors that it would explain"`
}

// ExplainFix is what can be done about a cause.
type ExplainFix struct {
	ID      string `json:"id"`
	Who     string `json:"who" jsonschema:"whose it is to do: server, client, admin or network"`
	Summary string `json:"summary"`
}

// NewExplainDoc describes an explanation in a language.
func NewExplainDoc(e diagnose.Explanation, lang diagnose.Lang) ExplainDoc {
	d := ExplainDoc{Schema: Schema("explain"), Lang: lang, Recognised: e.Recognised, Truncated: e.Truncated, Server: e.Target()}
	for _, m := range e.Matched {
		d.Matched = append(d.Matched, ExplainMatch{
			Symptom: m.Symptom, Client: m.Client, Speaker: diagnose.Speakers[m.Client].Name.In(lang),
			Text: m.Text, Start: m.Start, End: m.End, Causes: m.Causes,
			Vague: m.Vague, Number: m.Number, Ambiguous: m.Ambiguous, Source: m.Source,
		})
	}
	for _, s := range e.Suspects {
		c := ExplainCause{Code: s.Code, Confidence: s.Confidence, Title: s.Code, Symptoms: s.Symptoms}
		if info, ok := diagnose.Lookup(s.Code, lang); ok {
			c.Title, c.Meaning, c.Tell, c.Fixes = info.Title, info.Meaning, info.Tell, info.Fixes
		}
		d.Causes = append(d.Causes, c)
		for _, id := range c.Fixes {
			known := slices.ContainsFunc(d.Fixes, func(f ExplainFix) bool { return f.ID == id })
			if fix, ok := diagnose.FixInfo(id, "", "", lang); ok && !known {
				d.Fixes = append(d.Fixes, ExplainFix{id, fix.Who, fix.Summary})
			}
		}
	}
	if e.Recognised {
		d.Next = []string{commandText([]string{"certtrust", "diagnose", cmp.Or(d.Server, "HOST")})}
	}
	return d
}

// The words around an explanation.
var (
	explainRecognised = diagnose.Text{EN: "Recognised", JA: "認識されたエラー"}
	explainCauses     = diagnose.Text{EN: "What can be behind it", JA: "考えられる原因"}
	explainNoCauses   = diagnose.Text{EN: "That is an error which does not come from trust in a certificate.", JA: "これは証明書の信頼に関するエラーではありません。"}
	explainNext       = diagnose.Text{EN: "To find out which it is", JA: "原因を特定するには"}
	explainAmbiguous  = diagnose.Text{EN: "A number alone means different things in different programs: these are all that are known.", JA: "番号だけでは、プログラムによって意味が異なります。知られているものをすべて示します。"}
	explainVague      = diagnose.Text{EN: "The message only says that something is wrong: its details would say more.", JA: "このメッセージだけでは原因を絞り込めません。詳細が表示されていれば、それも貼り付けてください。"}
	explainTruncated  = diagnose.Text{EN: "the text is long: only its first %d KiB were looked at", JA: "テキストが長いため、先頭の %d KiB だけを調べました"}
	explainFixes      = diagnose.Text{EN: "fix: %s", JA: "対処: %s"}
	explainConfidence = map[diagnose.Confidence]diagnose.Text{
		diagnose.Likely:   {EN: "likely", JA: "有力"},
		diagnose.Possible: {EN: "possible", JA: "可能性あり"},
	}
)

// inFull is how many causes people are told about in full, besides those that
// are likely: a message that says little has a dozen.
const inFull = 3

// Text writes blocks of lines: what was recognised, what can be behind it, and
// what to do next.
func (d ExplainDoc) Text(s *term.Streams) error {
	w := textWriter{s: s}
	if d.Truncated {
		s.Warningf("%s", explainTruncated.In(d.Lang, diagnose.MaxExplained>>10))
	}
	if !d.Recognised {
		return nil
	}
	heading := func(t diagnose.Text) {
		w.blank()
		w.line(s.Paint(term.Bold, t.In(d.Lang)))
	}
	heading(explainRecognised)
	matched := NewTable(Column{Min: 24}, Column{Open: true})
	ambiguous, vague := false, true
	for _, m := range d.Matched {
		text := m.Text
		if m.Number {
			text += " (" + m.Symptom + ")"
		}
		matched.Row(Cell{Text: text}, Cell{Text: m.Speaker, Style: term.Dim})
		ambiguous = ambiguous || m.Ambiguous
		vague = vague && m.Vague
	}
	w.table(matched, "  ")
	if ambiguous {
		w.line("  ", explainAmbiguous.In(d.Lang))
	}
	if len(d.Causes) == 0 {
		w.blank()
		w.line(explainNoCauses.In(d.Lang))
		return w.err
	}
	if vague {
		w.line("  ", explainVague.In(d.Lang))
	}
	heading(explainCauses)
	for i, c := range d.Causes {
		style := term.Plain
		if c.Confidence == diagnose.Likely {
			style = term.Yellow
		}
		w.line("  ", s.Paint(style, explainConfidence[c.Confidence].In(d.Lang)), "  ", s.Paint(term.Bold, term.Safe(c.Title)), "  ", s.Paint(term.Dim, c.Code))
		if i >= inFull && c.Confidence != diagnose.Likely {
			continue
		}
		for _, more := range []string{c.Meaning, c.Tell} {
			if more != "" {
				w.line("    ", term.Safe(more))
			}
		}
		for _, id := range c.Fixes {
			if i := slices.IndexFunc(d.Fixes, func(f ExplainFix) bool { return f.ID == id }); i >= 0 {
				f := d.Fixes[i]
				w.line("    ", term.Safe(explainFixes.In(d.Lang, f.Summary)), "  ", s.Paint(term.Dim, f.ID))
			}
		}
	}
	heading(explainNext)
	for _, command := range d.Next {
		w.line("  ", command)
	}
	return w.err
}
