package keychain

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

const (
	maxOutput   = 64 << 20 // of a run of the tool
	maxSettings = 64 << 20 // of a property list
	maxKeychain = 256 << 20
)

// security runs the security tool, which asks nobody for this.
func (s *Store) security(ctx context.Context, args ...string) (host.Output, error) {
	return s.run(ctx, host.Command{Args: append([]string{tool}, args...), Keep: maxOutput, Timeout: s.readLimit})
}

// asking runs it for what a person is asked for.
func (s *Store) asking(ctx context.Context, args ...string) error {
	_, err := s.run(ctx, host.Command{Args: append([]string{tool}, args...), Keep: maxOutput, Timeout: s.askLimit})
	return err
}

func (s *Store) run(ctx context.Context, c host.Command) (host.Output, error) {
	out, err := s.host.Run(ctx, c)
	if err == nil && out.Dropped > 0 {
		err = store.Because(store.ErrFailed, "%s printed more than is read", tool)
	}
	if err != nil {
		return out, explain(err)
	}
	return out, nil
}

// failure is an error of the tool, with what it means.
type failure struct {
	status int // the OSStatus, 0 if it is not known
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// Statuses of the Security framework (SecBase.h, Authorization.h).
const (
	statusNoSettings   = -25263
	statusNotFound     = -25300
	statusBadItem      = -25293
	statusDuplicate    = -25299
	statusInvalid      = -25262
	statusNoKeychain   = -25294
	statusBusy         = -36
	statusUnauthorized = -60005
	statusCanceled     = -60006
	statusNoInteract   = -60007
	statusInternal     = -60008
	statusComponent    = -2070
	statusNoRights     = -61
	statusParameters   = -50
	statusLocked       = -25308
	statusBadKeychain  = -25295
)

// failures tells what the tool's messages and exit codes mean: the first row of
// which the text is in the last thing it said, or else whose exit code it is.
// The tool's other exit code, 1, tells nothing.
var failures = []struct {
	text   string
	exit   int // 0 = none of its own
	status int
	kind   error
	means  string // "" = the tool's own words
	hint   string
}{
	{"no user interaction was possible", 0, statusNoInteract, store.ErrConsent, "macOS asks a person at the screen, and nobody can answer here", "run it in a terminal on the screen; or " + profile},
	{"canceled by the user", 0, statusCanceled, store.ErrConsent, "the person at the dialog said no", ""},
	{"authorization was denied", 0, statusUnauthorized, store.ErrPermission, "macOS did not accept the password, or that user is no administrator", ""},
	{"errSecInternalComponent", 0, statusComponent, store.ErrConsent, "macOS could not ask anybody (errSecInternalComponent)", "run it in a terminal on the screen, with the keychain unlocked; or " + profile},
	{"Unable to obtain authorization", 0, statusInternal, store.ErrFailed, "", "try it again"},
	{"No Trust Settings were found", 81, statusNoSettings, store.ErrNotFound, "", ""},
	{"Trust Settings Record was corrupted", 82, statusInvalid, store.ErrCorrupt, "macOS finds the trust settings damaged", "certtrust stores shows what is wrong with them"},
	{"item could not be found", 44, statusNotFound, store.ErrNotFound, "", ""},
	{"specified keychain could not be found", 50, statusNoKeychain, store.ErrNotFound, "the keychain is not there", ""},
	{"not a valid keychain file", 49, statusBadKeychain, store.ErrCorrupt, "it is no keychain, or a damaged one", ""},
	{"passphrase you entered is not correct", 51, statusBadItem, store.ErrCorrupt, "an item could not be read", ""},
	{"User interaction is not allowed", 36, statusLocked, store.ErrLocked, "the keychain is locked, and nobody can be asked to unlock it", "security unlock-keychain unlocks it for this session"},
	{"already in ", 45, statusDuplicate, store.ErrConflict, "", ""},
	{"rite permissions error", 195, statusNoRights, store.ErrPermission, "the keychain may not be written to", ""},
	{"UNIX[Permission denied]", 173, 0, store.ErrPermission, "the keychain may not be written to", ""},
	{"UNIX[Operation not permitted]", 161, 0, store.ErrPermission, "macOS protects the keychain", ""},
	{"One or more parameters", 206, statusParameters, store.ErrFailed, "", ""},
	{"I/O error", 0, statusBusy, store.ErrFailed, "macOS was too busy to answer", "try it again"},
}

// explain makes of a failed run what it means.
func explain(err error) error {
	var e *host.ExecError
	if !errors.As(err, &e) {
		return err
	}
	if errors.Is(e.Err, context.DeadlineExceeded) {
		return &failure{err: &store.Error{Err: store.Because(store.ErrConsent, "%s did not end in time and was stopped: a dialog may have waited for somebody (%w)", tool, context.DeadlineExceeded),
			Hint: "answer the dialog on the screen; or " + profile}}
	}
	if e.ExitCode < 0 {
		return err
	}
	said := string(e.Stderr)
	for _, exact := range []bool{false, true} {
		for _, f := range failures {
			if !exact && !strings.Contains(said, f.text) || exact && (f.exit == 0 || f.exit != e.ExitCode) {
				continue
			}
			if f.means == "" {
				return &failure{f.status, store.Because(f.kind, "%w", err)}
			}
			return &failure{f.status, &store.Error{Err: store.Because(f.kind, "%s (%w)", f.means, err), Hint: f.hint}}
		}
	}
	return &failure{0, store.Because(store.ErrFailed, "%w", err)}
}

// status returns the OSStatus of an error, as far as it is known.
func status(err error) int {
	var f *failure
	if errors.As(err, &f) {
		return f.status
	}
	return 0
}

// temporary makes a file of this process's own for the tool, and returns its
// path and what removes it.
func (s *Store) temporary(data []byte, ending string) (string, func(), error) {
	var tail [12]byte
	rand.Read(tail[:]) // never fails
	p := path.Join(tempDir, host.TempPrefix+hex.EncodeToString(tail[:])+ending)
	if err := s.host.WriteFile(p, data, host.WriteOptions{Mode: 0o600, Exclusive: true, Volatile: true}); err != nil {
		return "", nil, err
	}
	return p, func() {
		if err := s.host.Discard(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.host.Discard(p)
		}
	}, nil
}

// export reads the trust settings of a domain.
func (s *Store) export(ctx context.Context, d *domain) (*settings, error) {
	if !s.host.Live {
		return s.offlineSettings(d)
	}
	p, remove, err := s.temporary(nil, ".plist")
	if err != nil {
		return nil, err
	}
	defer remove()
	args := append(append([]string{"trust-settings-export"}, d.flag...), p)
	_, err = s.security(ctx, args...)
	if status(err) == statusBusy {
		_, err = s.security(ctx, args...) // once more, as it advises
	}
	if status(err) == statusNoSettings {
		return noSettings(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s trust settings: %w", d.whose, err)
	}
	data, err := s.host.ReadFile(p, maxSettings)
	if err != nil {
		return nil, err
	}
	return parseSettings(data)
}

// certificates reads a keychain.
func (s *Store) certificates(ctx context.Context, keychain string) ([]found, error) {
	if !s.host.Live || s.host.OS != "darwin" {
		return s.offlineCertificates(keychain)
	}
	// A path that is not there would make the tool look everywhere else.
	if !exists(s.host, keychain) {
		return nil, &store.Error{Path: keychain, Err: store.Because(store.ErrNotFound, "the keychain is not there")}
	}
	out, err := s.security(ctx, "find-certificate", "-a", "-Z", "-p", keychain)
	items := parseFound(out.Stdout)
	switch {
	case err == nil, status(err) == statusNotFound:
		return items, nil
	case status(err) == statusBadItem:
		// It stops at an item that it cannot read; what it printed is good.
		return append(items, found{err: store.Because(store.ErrCorrupt, "an item cannot be read, and what comes after it neither: %w", err)}), nil
	}
	return nil, &store.Error{Path: keychain, Err: err, Hint: store.Hint(err)}
}

// script is a run of the tool as it is shown beforehand: names of files that
// are made for it are not known yet.
func (d *domain) importLine() []string {
	return append(append([]string{tool, "trust-settings-import"}, d.flag...), "settings.plist")
}
