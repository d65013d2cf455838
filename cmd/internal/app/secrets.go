package app

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

func secretFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "store-password-file", Usage: "the password of a store is the first line of a file: `ID=FILE` (may be repeated)"}
}

// storeSecrets are the passwords of stores: those of files, and what a person
// at the terminal answers.
type storeSecrets struct {
	streams *term.Streams // nil = nobody can be asked
	mu      sync.Mutex
	given   map[string]host.Secret
	heeded  map[string]bool // the names of stores that were found, of those in given
}

func (s *storeSecrets) Given(id string) (host.Secret, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, ok := s.given[id]
	return secret, ok
}

func (s *storeSecrets) CanAsk() bool { return s.streams != nil && s.streams.CanAsk() }

func (s *storeSecrets) Ask(_ context.Context, id, prompt string) (host.Secret, error) {
	if secret, ok := s.Given(id); ok {
		return secret, nil
	}
	if !s.CanAsk() {
		return host.Secret{}, store.Because(store.ErrSecret, "there is no terminal to ask for it at")
	}
	s.streams.Status("")
	text, err := s.streams.Password(prompt)
	if err != nil {
		return host.Secret{}, err
	}
	secret := host.NewSecret(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given[id] = secret
	return secret, nil
}

// heedSecrets makes the passwords that a command line gives known to stores.
func (a *App) heedSecrets(c *cli.Context) error {
	if _, done := a.Host.Secrets.(*storeSecrets); done {
		return nil
	}
	secrets := &storeSecrets{streams: a.Streams, given: map[string]host.Secret{}, heeded: map[string]bool{}}
	for _, text := range c.StringSlice("store-password-file") {
		// An ID may hold an equals sign, a file may too: the backend is before
		// the first colon.
		id, file, ok := strings.Cut(text, "=")
		if !ok || !strings.Contains(id, ":") || file == "" {
			return usage("--store-password-file %s: not ID=FILE", store.Printable(text))
		}
		secret, err := host.ReadSecretFile(file)
		if err != nil {
			return err
		}
		secrets.given[placed([]string{id})[0]] = secret
	}
	a.Host.Secrets = secrets
	return nil
}

// detect finds stores, to which the passwords are known that a command line gives.
// One that is given for a store by its place is given for its ID.
func (a *App) detect(c *cli.Context, h *host.Host, find func() ([]platform.Found, error)) ([]platform.Found, error) {
	if err := a.heedSecrets(c); err != nil {
		return nil, err
	}
	h.Secrets = a.Host.Secrets
	found, err := find()
	if s := a.Host.Secrets.(*storeSecrets); err == nil && s.meet(found) {
		return find() // they have looked for their passwords already
	}
	return found, err
}

// meet notes for which stores passwords are given, and reports whether one has
// another name than it was given for.
func (s *storeSecrets) meet(found []platform.Found) (renamed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, secret := range s.given {
		for _, f := range found {
			i := f.Info()
			id := string(i.ID)
			switch {
			case name == id:
			case name == f.Placed || name == i.Backend+":"+i.Location:
				if _, known := s.given[id]; !known {
					s.given[id], s.heeded[id], renamed = secret, true, true
				}
			default:
				continue
			}
			s.heeded[name] = true
		}
	}
	return renamed
}

// passwordsHeeded refuses a password that is given for a store that the command
// is not about: most likely its ID is mistyped, and without a word it would be as
// if none had been given.
func (a *App) passwordsHeeded(found []platform.Found) error {
	s, ok := a.Host.Secrets.(*storeSecrets)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids, strays []string
	for _, f := range found {
		i := f.Info()
		if i.Location == "" && i.Access.Read != nil {
			return nil // another user's stores, which could not be asked for
		}
		ids = append(ids, string(i.ID))
	}
	for name := range s.given {
		if !s.heeded[name] {
			strays = append(strays, name)
		}
	}
	if len(strays) == 0 {
		return nil
	}
	slices.Sort(strays)
	return &store.Error{Err: store.Because(store.ErrNotFound, "a password is given for \"%s\", which is not among the stores that this is about (%s)",
		store.Printable(strays[0]), store.Printable(strings.Join(ids, ", "))), Hint: "certtrust stores shows what there is; --store-password-file takes an ID as it is there"}
}
