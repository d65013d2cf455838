package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"

	"github.com/certtrust/certtrust/store"
)

// Secret is a password. Whatever prints, logs or encodes it gets "[secret]".
// The zero Secret is empty.
type Secret struct {
	// A function, because package fmt prints what is in unexported fields of
	// structs without asking for methods, even behind pointers.
	value func() []byte
}

const hidden = "[secret]"

// NewSecret makes a Secret. It keeps value.
func NewSecret(value []byte) Secret { return Secret{func() []byte { return value }} }

// Bytes returns the secret itself, which must not be changed.
func (s Secret) Bytes() []byte {
	if s.value == nil {
		return nil
	}
	return s.value()
}

// Format writes "[secret]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// String returns "[secret]".
func (Secret) String() string { return hidden }

// MarshalText returns "[secret]", in JSON too.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue returns "[secret]".
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// Secrets gives the passwords of stores, which are named by their IDs.
type Secrets interface {
	// Given returns a password that is at hand without asking anybody.
	Given(id string) (Secret, bool)
	// CanAsk reports whether a person can be asked for one.
	CanAsk() bool
	// Ask returns the password at hand, or else asks a person for it, once.
	Ask(ctx context.Context, id, prompt string) (Secret, error)
}

// maxSecret is how long a password may be, in bytes.
const maxSecret = 64 << 10

// ReadSecretFile returns the first line of a file of this machine, without its
// end; "-" is standard input. A pipe is read as well, but not a file that
// others than its owner can write to (store.ErrPermission). Errors name the
// path and never what is in it.
func ReadSecretFile(path string) (Secret, error) {
	if path == "-" {
		s, err := readSecret(os.Stdin)
		return s, pathError("read password", "standard input", err)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = store.Because(store.ErrInput, "%w", err)
	}
	if err != nil {
		return Secret{}, pathError("read password", path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return Secret{}, pathError("read password", path, err)
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeNamedPipe == 0:
		return Secret{}, pathError("read password", path, store.Because(store.ErrInput, "neither a regular file nor a pipe"))
	case runtime.GOOS != "windows" && info.Mode()&0o022 != 0:
		return Secret{}, &store.Error{Op: "read password", Path: path, Hint: "chmod 600 the file, if its content is yours",
			Err: store.Because(store.ErrPermission, "other users can write to it")}
	}
	s, err := readSecret(f)
	return s, pathError("read password", path, err)
}

func readSecret(r io.Reader) (Secret, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxSecret+2)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return Secret{}, err
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) > maxSecret {
		return Secret{}, store.Because(store.ErrInput, "the first line is longer than %d bytes", maxSecret)
	}
	return NewSecret(line), nil
}
