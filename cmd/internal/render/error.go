package render

import (
	"errors"
	"strings"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

// ErrorInfo is an error for programs.
type ErrorInfo struct {
	Code    string   `json:"code" jsonschema:"the kind of error; stable"`
	Op      string   `json:"op,omitempty" jsonschema:"what was being done"`
	Store   store.ID `json:"store,omitempty"`
	Path    string   `json:"path,omitempty"`
	Message string   `json:"message"`
	Hint    string   `json:"hint,omitempty" jsonschema:"what to do about it"`
}

// NewErrorInfo describes err, nil for nil.
func NewErrorInfo(err error) *ErrorInfo {
	if err == nil {
		return nil
	}
	// Errors that were joined are lines.
	info := &ErrorInfo{Code: store.Code(err), Message: strings.ReplaceAll(err.Error(), "\n", "; "), Hint: store.Hint(err)}
	var e *store.Error
	if errors.As(err, &e) {
		info.Op, info.Store, info.Path = e.Op, e.Store, e.Path
	}
	return info
}

// reason returns the message without the name of the store, for where that is
// plain from what stands around it.
func (e *ErrorInfo) reason() string {
	return strings.TrimPrefix(e.Message, e.Op+" "+store.Printable(string(e.Store))+": ")
}

// ErrorDoc is what is written in place of a result.
type ErrorDoc struct {
	Schema string    `json:"schema"`
	Error  ErrorInfo `json:"error"`
}

// NewErrorDoc returns the document for an error, which must not be nil.
func NewErrorDoc(err error) ErrorDoc {
	return ErrorDoc{Schema: Schema("error"), Error: *NewErrorInfo(err)}
}

// Text writes the error to Err.
func (d ErrorDoc) Text(s *term.Streams) error {
	s.Errorf("%s", d.Error.Message)
	if d.Error.Hint != "" {
		s.Hintf("%s", d.Error.Hint)
	}
	return nil
}
