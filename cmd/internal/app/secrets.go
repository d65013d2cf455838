package app

import (
	"context"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/cmd/internal/term"
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
	text, err := s.streams.Password(prompt + ": ")
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
	secrets := &storeSecrets{streams: a.Streams, given: map[string]host.Secret{}}
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
