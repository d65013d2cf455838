package render

import (
	"strings"
	"time"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store/diagnose"
)

// DiagnoseListDoc is the diagnosis of many servers, seen from one machine.
type DiagnoseListDoc struct {
	DiagnoseHeader
	Results []DiagnoseDoc `json:"results" jsonschema:"in the order they were asked for; each is a document of diagnose"`
	Lang    diagnose.Lang `json:"-"`
}

// DiagnoseHeader is the first line of a stream of diagnoses.
type DiagnoseHeader struct {
	Schema string    `json:"schema"`
	Host   string    `json:"host" jsonschema:"the machine that asked"`
	Time   time.Time `json:"time"`
}

// NewDiagnoseHeader returns the header for what the machine host finds out.
func NewDiagnoseHeader(host string, now time.Time) DiagnoseHeader {
	return DiagnoseHeader{Schema: Schema("diagnose-list"), Host: host, Time: now}
}

var (
	textTarget  = diagnose.Text{EN: "TARGET", JA: "対象"}
	textVerdict = diagnose.Text{EN: "VERDICT", JA: "判定"}
	textCause   = diagnose.Text{EN: "CAUSE", JA: "原因コード"}
	textExpires = diagnose.Text{EN: "EXPIRES", JA: "有効期限"}
	textSummary = diagnose.Text{EN: "SUMMARY", JA: "概要"}
	textShort   = map[diagnose.Verdict]diagnose.Text{
		diagnose.Trusted:         {EN: "trusted", JA: "信頼"},
		diagnose.Untrusted:       {EN: "not trusted", JA: "信頼されない"},
		diagnose.HandshakeFailed: {EN: "no handshake", JA: "接続失敗"},
		diagnose.NotTLS:          {EN: "not TLS", JA: "TLS でない"},
		diagnose.Unreachable:     {EN: "unreachable", JA: "到達不能"},
	}
)

// Text writes a table, a row for each server.
func (d DiagnoseListDoc) Text(s *term.Streams) error {
	say := func(t diagnose.Text) string { return t.In(d.Lang) }
	t := NewTable(Column{Title: say(textTarget), Min: 20}, Column{Title: say(textVerdict)}, Column{Title: say(textCause)},
		Column{Title: say(textExpires), Drop: true}, Column{Title: say(textSummary), Min: 20})
	for _, r := range d.Results {
		style := term.Red
		if r.Verdict == diagnose.Trusted {
			style = term.Green
		}
		var codes []string
		for _, c := range append(r.Causes[:len(r.Causes):len(r.Causes)], r.Warnings...) {
			if c.Severity != diagnose.Info {
				codes = include(codes, c.Code)
			}
		}
		expires := Cell{}
		if len(r.Chain) > 0 && !r.Chain[0].NotAfter.IsZero() {
			expires.Text = r.Chain[0].NotAfter.UTC().Format(time.DateOnly)
		}
		t.Row(Cell{Text: targetText(r.Target)}, Cell{say(textShort[r.Verdict]), style}, Cell{Text: strings.Join(codes, " ")}, expires, Cell{Text: r.Summary})
	}
	return t.Write(s)
}
