package render

import (
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform/clients"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// VerifyDoc tells whether something is trusted: by each store, by the
// platform's own verifier, and by the programs that were asked.
type VerifyDoc struct {
	Schema   string           `json:"schema"`
	Target   string           `json:"target" jsonschema:"as it was given"`
	Host     string           `json:"host,omitempty" jsonschema:"the name that it has to be for"`
	Time     time.Time        `json:"time" jsonschema:"that it was judged at"`
	Verdict  string           `json:"verdict" jsonschema:"trusted, untrusted, handshake_failed, not_tls or unreachable: by the stores that count"`
	Summary  string           `json:"summary"`
	Causes   []VerifyCause    `json:"causes" jsonschema:"empty if it is trusted; certtrust diagnose tells more"`
	Stores   []VerifyStore    `json:"stores"`
	Platform []VerifyPlatform `json:"platform,omitempty"`
	Clients  []VerifyClient   `json:"clients,omitempty"`
	// Lang is that of the headings; the document has its own words.
	Lang diagnose.Lang `json:"-"`
}

// The words around the verdicts, beside those of a diagnosis.
var (
	textStoreColumn    = diagnose.Text{EN: "STORE", JA: "証明書ストア"}
	textVerdictColumn  = diagnose.Text{EN: "VERDICT", JA: "判定"}
	textCountsColumn   = diagnose.Text{EN: "COUNTS", JA: "総合判定に含む"}
	textWhyColumn      = diagnose.Text{EN: "WHY", JA: "理由"}
	textProgramColumn  = diagnose.Text{EN: "PROGRAM", JA: "プログラム"}
	textOwnColumn      = diagnose.Text{EN: "IN YOUR ENVIRONMENT", JA: "現在の環境での判定"}
	textControlColumn  = diagnose.Text{EN: "CONTROL", JA: "対照試験"}
	textWordsColumn    = diagnose.Text{EN: "ITS WORDS", JA: "プログラムの出力"}
	textYes            = diagnose.Text{EN: "yes", JA: "はい"}
	textPlatform       = diagnose.Text{EN: "platform", JA: "システムの検証機能"}
	textNotAsked       = diagnose.Text{EN: "not asked", JA: "未確認"}
	textControlRefused = diagnose.Text{EN: "refused", JA: "拒否した"}
	textControlAccepts = diagnose.Text{EN: "ACCEPTED: it does not verify", JA: "受け入れた: 検証をしていない"}
	textAcceptIt       = diagnose.Text{EN: "%[1]d of %[2]s accept it", JA: "%[3]d 個のプログラムのうち %[1]d 個が受け入れました"}
	textOnlyHere       = diagnose.Text{EN: ", and %d more in your environment only", JA: "。ほかに %d 個は、現在の環境でだけ受け入れました"}
	textOutcomes       = map[string]diagnose.Text{
		"trusted":               textStoreVerdicts["trusted"],
		"untrusted":             {EN: "untrusted", JA: "信頼されない"},
		string(clients.Accepts): textAccepts,
		string(clients.Refuses): textRefuses,
		string(clients.Unknown): {EN: "unknown", JA: "不明"},
	}
)

// VerifyStore is the outcome for a store.
type VerifyStore struct {
	ID      string   `json:"id"`
	Title   string   `json:"title,omitempty"`
	UsedBy  []string `json:"usedBy,omitempty"`
	Verdict string   `json:"verdict" jsonschema:"trusted, untrusted or unknown"`
	Causes  []string `json:"causes,omitempty"`
	Anchor  string   `json:"anchor,omitempty" jsonschema:"SHA-256 of the root that it is trusted by"`
	Error   string   `json:"error,omitempty"`
	Counts  bool     `json:"counts" jsonschema:"the verdict and the exit code depend on it"`
}

// NewVerifyStore takes over what a diagnosis says of a store.
func NewVerifyStore(v diagnose.StoreView) VerifyStore {
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	return VerifyStore{ID: v.ID, Title: v.Name, UsedBy: v.UsedBy, Verdict: v.Verdict, Causes: v.Causes, Anchor: text(v.Anchor), Error: text(v.Error), Counts: v.Counts}
}

// VerifyCause is a reason why it is not trusted.
type VerifyCause struct {
	Code    string   `json:"code"`
	Summary string   `json:"summary"`
	Stores  []string `json:"stores,omitempty"`
}

// VerifyPlatform is what the verifier of a store's platform says.
type VerifyPlatform struct {
	Store   store.ID      `json:"store"`
	Verdict store.Verdict `json:"verdict"`
	Error   *ErrorInfo    `json:"error,omitempty"`
}

// VerifyClient is what a program does.
type VerifyClient struct {
	clients.Answer
	// Finding is what a person should know: "refuses", "does-not-verify",
	// "environment" if it does something else in the caller's environment, or
	// "unknown".
	Finding string   `json:"finding,omitempty"`
	Because []string `json:"because,omitempty" jsonschema:"settings of the caller that change whom it trusts"`
}

// NewVerifyDoc returns the document, still without a verdict.
func NewVerifyDoc(target, host string) VerifyDoc {
	return VerifyDoc{Schema: Schema("verify"), Target: target, Host: host}
}

// Judged returns the answer with its finding.
func (c VerifyClient) Judged() VerifyClient {
	switch {
	case c.Absent:
	case c.Control.Verdict == clients.Accepts || c.OwnControl.Verdict == clients.Accepts:
		c.Finding = "does-not-verify"
	case c.Own.Verdict == clients.Refuses:
		c.Finding = "refuses"
		if c.Clean.Verdict == clients.Accepts {
			c.Finding = "environment"
		}
	case c.Clean.Verdict != c.Own.Verdict && c.Clean.Verdict != clients.Unknown:
		c.Finding = "environment"
	case c.Own.Verdict == clients.Unknown || c.Control.Verdict == clients.Unknown && c.OwnControl.Verdict == clients.Unknown:
		c.Finding = "unknown"
	}
	return c
}

// foundBy are the findings, and what is said of whom they are about.
var foundBy = []struct{ finding, text string }{
	{"refuses", "refused by "},
	{"environment refuses", "refused only in your environment by "},
	{"environment accepts", "accepted only in your environment by "},
	{"environment unknown", "no answer in your environment of "},
	{"does-not-verify", "not verified at all by "},
}

// Errors returns what was found, by way of what makes errors of it.
func (d VerifyDoc) Errors(make func(unknown bool, text string) error) (errs []error) {
	switch diagnose.Verdict(d.Verdict) {
	case "", diagnose.Trusted:
	case diagnose.Untrusted:
		errs = append(errs, make(false, store.Printable(d.Target)+" is not trusted: "+d.reason()))
	default:
		errs = append(errs, make(true, store.Printable(d.Target)+": "+d.reason()))
	}
	by := map[string][]string{}
	for _, c := range d.Clients {
		switch {
		case c.Absent:
			by["unknown"] = append(by["unknown"], c.Client)
		case c.Finding == "environment":
			by["environment "+string(c.Own.Verdict)] = append(by["environment "+string(c.Own.Verdict)], c.Client)
		case c.Finding != "":
			by[c.Finding] = append(by[c.Finding], c.Client)
		}
	}
	var against []string
	for _, f := range foundBy {
		if who := by[f.finding]; len(who) > 0 {
			against = append(against, f.text+strings.Join(who, ", "))
		}
	}
	if len(against) > 0 {
		errs = append(errs, make(false, strings.Join(against, "; ")))
	}
	if silent := by["unknown"]; len(silent) > 0 && len(errs) == 0 {
		errs = append(errs, make(true, "no answer of "+strings.Join(silent, ", ")))
	}
	return errs
}

// reason returns why it is not trusted, as part of a message.
func (d VerifyDoc) reason() string {
	text := d.Summary
	if len(d.Causes) > 0 {
		text = d.Causes[0].Summary
	}
	return strings.TrimRight(text, ".。")
}

// Text writes the verdict, and tables of the stores and the programs.
func (d VerifyDoc) Text(s *term.Streams) error {
	w := &textWriter{s: s}
	style := term.Red
	if d.Verdict == string(diagnose.Trusted) {
		style = term.Green
	}
	w.line(s.Paint(style, term.Safe(d.Summary)))
	for _, c := range d.Causes {
		w.line("  ", term.Safe(c.Code), ": ", term.Safe(c.Summary))
	}
	w.blank()
	if w.err != nil {
		return w.err
	}
	say := func(t diagnose.Text) string { return t.In(d.Lang) }
	t := NewTable(Column{Title: say(textStoreColumn), Min: 20}, Column{Title: say(textVerdictColumn), Min: 9}, Column{Title: say(textCountsColumn), Drop: true}, Column{Title: say(textWhyColumn), Open: true})
	for _, st := range d.Stores {
		counts := ""
		if st.Counts {
			counts = say(textYes)
		}
		why := strings.Join(st.Causes, ", ")
		if st.Error != "" {
			why = st.Error
		}
		t.Row(Cell{Text: store.Printable(st.ID)}, d.outcome(st.Verdict), Cell{Text: counts}, Cell{Text: store.Printable(why)})
	}
	for _, p := range d.Platform {
		cell, why := d.outcome("untrusted"), strings.Join(p.Verdict.Reasons, ", ")
		if p.Verdict.Trusted {
			cell = d.outcome("trusted")
		}
		if p.Error != nil {
			cell, why = d.outcome("unknown"), p.Error.Message
		}
		t.Row(Cell{Text: store.Printable(string(p.Store))}, cell, Cell{Text: say(textPlatform)}, Cell{Text: store.Printable(why)})
	}
	if err := t.Write(s); err != nil || len(d.Clients) == 0 {
		return err
	}
	w.blank()
	if w.err != nil {
		return w.err
	}
	return d.programs(s)
}

// outcome is a verdict, or what a program did.
func (d VerifyDoc) outcome(verdict string) Cell {
	text := textOutcomes[verdict].In(d.Lang)
	switch verdict {
	case "trusted", string(clients.Accepts):
		return Cell{text, term.Green}
	case "untrusted", string(clients.Refuses):
		return Cell{text, term.Red}
	}
	return Cell{text, term.Yellow}
}

// TellClients writes the table of the programs alone: to people with the
// messages, as the result is another one.
func (d VerifyDoc) TellClients(s *term.Streams) error {
	return d.programs(&term.Streams{Out: s.Err, Err: s.Err, OutTTY: s.ErrTTY, Width: s.Width, Color: s.Color, Env: s.Env})
}

// shortened keeps words to a length that a table bears: the document has all.
func shortened(words string) string {
	const most = 160
	if runes := []rune(words); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return words
}

func (d VerifyDoc) programs(s *term.Streams) error {
	say := func(t diagnose.Text, args ...any) string { return t.In(d.Lang, args...) }
	t := NewTable(Column{Title: say(textProgramColumn), Min: 10}, Column{Title: say(textVerdictColumn), Min: 9}, Column{Title: say(textOwnColumn), Min: 9}, Column{Title: say(textControlColumn), Drop: true}, Column{Title: say(textWordsColumn), Open: true})
	for _, c := range d.Clients {
		if c.Absent {
			t.Row(Cell{Text: c.Title}, Cell{Text: say(textNotAsked)}, Cell{}, Cell{}, Cell{Text: c.Clean.Words})
			continue
		}
		control := Cell{say(textControlRefused), term.Green}
		switch {
		case c.Finding == "does-not-verify":
			control = Cell{say(textControlAccepts), term.Red}
		case c.Control.Verdict == clients.Unknown:
			control = d.outcome(string(clients.Unknown))
		}
		words := c.Own.Words
		if words == "" {
			words = c.Clean.Words
		}
		if c.Finding == "environment" || c.Finding == "does-not-verify" {
			words = strings.Join(include(slices.Clone(c.Because), words), "; ")
		}
		t.Row(Cell{Text: c.Title}, d.outcome(string(c.Clean.Verdict)), d.outcome(string(c.Own.Verdict)), control, Cell{Text: store.Printable(shortened(words))})
	}
	if err := t.Write(s); err != nil {
		return err
	}
	asked, accept, only := 0, 0, 0
	for _, c := range d.Clients {
		if !c.Absent {
			asked++
		}
		switch {
		case c.Own.Verdict == clients.Accepts && c.Finding == "":
			accept++
		case c.Own.Verdict == clients.Accepts && c.Finding == "environment":
			only++
		}
	}
	text := say(textAcceptIt, accept, count(asked, "program"), asked)
	if only > 0 {
		text += say(textOnlyHere, only)
	}
	s.Noticef("%s", text)
	return nil
}
