package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

// DiagnoseDoc is a diagnosis: what is wrong, the chain with the bad link
// marked, the proof, and what to do.
type DiagnoseDoc struct {
	*diagnose.Document
	Lang diagnose.Lang `json:"-"` // of the headings; the document has its own
}

// The words around a diagnosis.
var (
	textVerdicts = map[diagnose.Verdict]diagnose.Text{
		diagnose.Trusted:         {EN: "trusted", JA: "信頼されている"},
		diagnose.Untrusted:       {EN: "not trusted", JA: "信頼されていない"},
		diagnose.HandshakeFailed: {EN: "no verdict: the TLS handshake failed", JA: "判定不能: TLS ハンドシェイクに失敗"},
		diagnose.NotTLS:          {EN: "no verdict: this is not TLS", JA: "判定不能: TLS ではない応答"},
		diagnose.Unreachable:     {EN: "no verdict: not reachable", JA: "判定不能: 接続できない"},
	}
	textConfidences = map[diagnose.Confidence]diagnose.Text{
		diagnose.Proven:   {EN: "proven", JA: "確定"},
		diagnose.Likely:   {EN: "likely", JA: "可能性が高い"},
		diagnose.Possible: {EN: "possible", JA: "可能性あり"},
	}
	textStoreVerdicts = map[string]diagnose.Text{
		"trusted":   {EN: "trusted", JA: "信頼"},
		"untrusted": {EN: "not trusted", JA: "信頼されない"},
		"unknown":   {EN: "cannot be read", JA: "読み取れない"},
	}
	textWho = map[string]diagnose.Text{
		"server":  {EN: "the server's owner", JA: "サーバーの管理者"},
		"client":  {EN: "on this machine", JA: "このマシンで"},
		"admin":   {EN: "your administrator", JA: "社内の管理者"},
		"network": {EN: "the network", JA: "ネットワーク"},
	}
	textRoles = map[string]diagnose.Text{
		"leaf":         {EN: "server certificate", JA: "サーバー証明書"},
		"intermediate": {EN: "intermediate", JA: "中間証明書"},
		"root":         {EN: "root", JA: "ルート証明書"},
		"extra":        {EN: "not needed", JA: "不要"},
	}
	textSources = map[string]diagnose.Text{
		"sent":     {EN: "sent", JA: "サーバーが送信"},
		"aia":      {EN: "fetched, not sent", JA: "未送信、AIA から取得"},
		"store":    {EN: "from %s", JA: "%s にあり"},
		"unparsed": {EN: "unreadable", JA: "解析不能"},
	}
	textExpired    = diagnose.Text{EN: "expired %s", JA: "%s に期限切れ"}
	textNotYet     = diagnose.Text{EN: "not valid before %s", JA: "%s から有効"}
	textUntil      = diagnose.Text{EN: "until %s", JA: "%s まで有効"}
	textNoAnchor   = diagnose.Text{EN: "the chain ends here, without a trusted root", JA: "信頼されたルートに到達しないまま、ここで途切れる"}
	textAnchor     = diagnose.Text{EN: "trust anchor", JA: "トラストアンカー"}
	textChain      = diagnose.Text{EN: "chain", JA: "証明書チェーン"}
	textAlsoSent   = diagnose.Text{EN: "also sent: %s (%s)", JA: "ほかに送信された証明書: %s (%s)"}
	textWhy        = diagnose.Text{EN: "why", JA: "原因"}
	textWarnings   = diagnose.Text{EN: "warnings", JA: "警告"}
	textFix        = diagnose.Text{EN: "what to do", JA: "対処方法"}
	textNot        = diagnose.Text{EN: "what not to do", JA: "してはいけないこと"}
	textStores     = diagnose.Text{EN: "stores", JA: "証明書ストア"}
	textClients    = diagnose.Text{EN: "programs", JA: "各プログラムの動作"}
	textEnviron    = diagnose.Text{EN: "environment", JA: "環境設定"}
	textAccepts    = diagnose.Text{EN: "accepts", JA: "受け入れる"}
	textRefuses    = diagnose.Text{EN: "refuses", JA: "拒否する"}
	textUnknown    = diagnose.Text{EN: "cannot be told", JA: "不明"}
	textNotCounted = diagnose.Text{EN: "(does not count for the verdict)", JA: "(判定には含めない)"}
	textEffects    = map[diagnose.OverrideKind]diagnose.Text{
		diagnose.Replaces: {EN: "roots of its own, instead of the stores, for %s", JA: "証明書ストアの代わりに独自のルートを使わせる (%s)"},
		diagnose.Adds:     {EN: "more roots for %s", JA: "ルートを追加する (%s)"},
		diagnose.Disables: {EN: "no verification at all by %s", JA: "検証を無効にする (%s)"},
	}
	textClientCert = diagnose.Text{EN: "asks for a client certificate", JA: "クライアント証明書を要求"}
)

// Text writes the diagnosis for people.
func (d DiagnoseDoc) Text(s *term.Streams) error {
	w := &textWriter{s: s}
	style := term.Red
	if d.Verdict == diagnose.Trusted {
		style = term.Green
	}
	w.line(s.Paint(style, term.Safe(d.Summary)))
	w.line(term.Safe(d.headline()))
	d.chain(w)
	d.causes(w, textWhy, d.Causes)
	d.fixes(w)
	d.causes(w, textWarnings, slices.DeleteFunc(slices.Clone(d.Warnings), func(c diagnose.Cause) bool {
		return c.Code == "store.override" && c.Severity == diagnose.Info // the last section has it
	}))
	d.stores(w)
	d.clients(w)
	return w.err
}

func (d DiagnoseDoc) say(t diagnose.Text, args ...any) string { return t.In(d.Lang, args...) }

func (d DiagnoseDoc) heading(w *textWriter, t diagnose.Text) {
	w.line()
	w.line(w.s.Paint(term.Bold, d.say(t)))
}

// headline tells who was asked and how: the target, the address, the version
// of TLS, the verdict.
func (d DiagnoseDoc) headline() string {
	parts := []string{targetText(d.Target)}
	if d.Address != nil && *d.Address != parts[0] {
		parts = append(parts, *d.Address)
	}
	if d.Target.StartTLS != nil {
		parts = append(parts, "STARTTLS "+*d.Target.StartTLS)
	}
	if c := d.Connection; c != nil {
		parts = append(parts, c.TLSVersion)
		if c.ClientCertRequested {
			parts = append(parts, d.say(textClientCert))
		}
	}
	parts = append(parts, d.say(textVerdicts[d.Verdict]))
	return strings.Join(include(nil, parts...), ", ")
}

// targetText writes a target as HOST:PORT; a file has no port.
func targetText(t diagnose.DocTarget) string {
	if t.Port == 0 {
		return t.Input
	}
	if strings.Contains(t.Host, ":") {
		return "[" + t.Host + "]:" + strconv.Itoa(t.Port)
	}
	return t.Host + ":" + strconv.Itoa(t.Port)
}

// chain draws the way from the leaf up, each certificate below what it issued,
// and marks what is wrong.
func (d DiagnoseDoc) chain(w *textWriter) {
	if len(d.Chain) == 0 {
		return
	}
	d.heading(w, textChain)
	path := d.path()
	for depth, c := range path.certs {
		mark, style := "", term.Plain
		if len(c.Problems) > 0 {
			mark, style = "   <-- "+strings.Join(c.Problems, ", "), term.Red
		} else if depth == len(path.certs)-1 && path.anchor {
			mark, style = "   ("+d.say(textAnchor)+")", term.Green
		}
		w.line(branch(depth), w.s.Paint(style, term.Safe(commonName(c.Subject)+"  "+d.about(c)+mark)))
	}
	if !path.anchor && len(path.certs) > 0 && d.Verdict == diagnose.Untrusted {
		last := path.certs[len(path.certs)-1]
		end := d.say(textNoAnchor)
		if last.Issuer != last.Subject {
			end = "? " + commonName(last.Issuer) + "  " + end
		}
		w.line(branch(len(path.certs)), w.s.Paint(term.Red, term.Safe(end)))
	}
	for _, c := range d.Chain {
		if c.Source == "sent" && !slices.ContainsFunc(path.certs, func(p diagnose.ChainCert) bool { return p.SHA256 == c.SHA256 }) {
			what := include([]string{d.say(textRoles[c.Role])}, c.Problems...)
			w.line("  ", term.Safe(d.say(textAlsoSent, commonName(c.Subject), strings.Join(what, ", "))))
		}
	}
}

func branch(depth int) string {
	if depth == 0 {
		return "  "
	}
	return "  " + strings.Repeat("   ", depth-1) + "└─ "
}

type drawnPath struct {
	certs  []diagnose.ChainCert
	anchor bool
}

// path returns the way to draw: the first path if there is one, otherwise what
// was sent.
func (d DiagnoseDoc) path() drawnPath {
	bySum := map[string]diagnose.ChainCert{}
	for _, c := range d.Chain {
		if _, have := bySum[c.SHA256]; !have {
			bySum[c.SHA256] = c
		}
	}
	var out drawnPath
	if len(d.Paths) > 0 {
		out.anchor = d.Paths[0].Anchor
		for _, sum := range d.Paths[0].Certs {
			if c, have := bySum[sum]; have {
				out.certs = append(out.certs, c)
			}
		}
	}
	if len(out.certs) == 0 {
		out.certs = d.Chain[:1]
	}
	return out
}

// about tells what a certificate of the chain is.
func (d DiagnoseDoc) about(c diagnose.ChainCert) string {
	source := d.say(textSources[c.Source])
	if c.Source == "store" {
		source = d.say(textSources[c.Source], c.Store)
	}
	parts := []string{d.say(textRoles[c.Role]), c.Key, d.validity(c), source}
	return strings.Join(include(nil, parts...), ", ")
}

func (d DiagnoseDoc) validity(c diagnose.ChainCert) string {
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	switch {
	case c.NotAfter.IsZero():
		return ""
	case d.Time.After(c.NotAfter):
		return d.say(textExpired, day(c.NotAfter))
	case d.Time.Before(c.NotBefore):
		return d.say(textNotYet, day(c.NotBefore))
	}
	return d.say(textUntil, day(c.NotAfter))
}

// commonName takes the common name out of a distinguished name of RFC 4514, or
// returns it whole.
func commonName(name string) string {
	at := strings.Index(name, "CN=")
	if at < 0 || at > 0 && name[at-1] != ',' && name[at-1] != '+' {
		return name
	}
	var out strings.Builder
	for i := at + len("CN="); i < len(name); i++ {
		switch {
		case name[i] == '\\' && i+1 < len(name) && !isHex(name[i+1]):
			i++
			out.WriteByte(name[i])
			continue
		case name[i] == ',' || name[i] == '+':
			return out.String()
		}
		out.WriteByte(name[i])
	}
	return out.String()
}

func isHex(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
}

// causes writes causes with their proof, numbered.
func (d DiagnoseDoc) causes(w *textWriter, heading diagnose.Text, causes []diagnose.Cause) {
	if len(causes) == 0 {
		return
	}
	d.heading(w, heading)
	for i, c := range causes {
		number := fmt.Sprintf("%d. ", i+1)
		indent := strings.Repeat(" ", 2+len(number))
		style := term.Red
		if c.Severity != diagnose.Error {
			style = term.Yellow
		}
		w.line("  ", number, w.s.Paint(style, term.Safe(c.Summary)), w.s.Paint(term.Dim, " ["+c.Code+", "+d.say(textConfidences[c.Confidence])+"]"))
		for _, e := range c.Evidence {
			w.line(indent, "- ", term.Safe(e.Text))
		}
		for _, text := range []string{c.Meaning, c.Hint} {
			if text != "" {
				w.line(indent, w.s.Paint(term.Dim, term.Safe(text)))
			}
		}
	}
}

// fixes writes what to do, by whom, and what not to do.
func (d DiagnoseDoc) fixes(w *textWriter) {
	if len(d.Fixes) > 0 {
		d.heading(w, textFix)
	}
	said := map[string][]string{} // the steps of a fix, which are the same for many stores
	for _, f := range d.Fixes {
		where := d.say(textWho[f.Who])
		if f.Store != nil {
			where += " (" + *f.Store + ")"
		}
		w.line("  ", w.s.Paint(term.Bold, term.Safe(where+": ")), term.Safe(f.Summary))
		for _, c := range f.Commands {
			for line := range strings.Lines(c) {
				w.line("      ", term.Safe(strings.TrimSuffix(line, "\n")))
			}
		}
		for _, step := range f.Steps {
			if !slices.Contains(said[f.ID], step) {
				w.line("      - ", term.Safe(step))
				said[f.ID] = append(said[f.ID], step)
			}
		}
	}
	if len(d.NotRecommended) == 0 {
		return
	}
	d.heading(w, textNot)
	for _, n := range d.NotRecommended {
		w.line("  - ", term.Safe(n.Why))
	}
}

// stores writes what each store thinks.
func (d DiagnoseDoc) stores(w *textWriter) {
	if len(d.Stores) == 0 {
		return
	}
	d.heading(w, textStores)
	t := NewTable(Column{}, Column{}, Column{Open: true})
	for _, st := range d.Stores {
		style := term.Red
		if st.Verdict == "trusted" {
			style = term.Green
		}
		why := strings.Join(st.Causes, ", ")
		if st.Error != nil {
			why = *st.Error
		}
		if !st.Counts {
			why = strings.TrimSpace(why + " " + d.say(textNotCounted))
		}
		t.Row(Cell{Text: st.ID}, Cell{d.say(textStoreVerdicts[st.Verdict]), style}, Cell{Text: why})
	}
	w.table(t, "  ")
}

// clients writes what each program is expected to do.
func (d DiagnoseDoc) clients(w *textWriter) {
	if len(d.Clients) == 0 {
		return
	}
	d.heading(w, textClients)
	t := NewTable(Column{}, Column{}, Column{Open: true})
	for _, c := range d.Clients {
		verdict := Cell{d.say(textUnknown), term.Dim}
		if c.Accepts != nil && *c.Accepts {
			verdict = Cell{d.say(textAccepts), term.Green}
		} else if c.Accepts != nil {
			verdict = Cell{d.say(textRefuses), term.Red}
		}
		why := c.Why
		if len(d.Causes) > 0 && why == d.Causes[0].Summary {
			why = "" // it is the first thing that is said
		}
		t.Row(Cell{Text: c.ID}, verdict, Cell{Text: strings.Join(include(nil, c.Error, why), ": ")})
	}
	w.table(t, "  ")
	if len(d.Overrides) == 0 {
		return
	}
	d.heading(w, textEnviron)
	type source struct{ name, effect string }
	var order []source
	programs := map[source][]string{}
	for _, o := range d.Overrides {
		from := source{o.Source, o.Effect}
		if programs[from] == nil {
			order = append(order, from)
		}
		programs[from] = include(programs[from], o.Client)
	}
	for _, from := range order {
		effect := d.say(textEffects[diagnose.OverrideKind(from.effect)], strings.Join(programs[from], ", "))
		w.line("  ", term.Safe(store.Printable(from.name)+": "+effect))
	}
}
