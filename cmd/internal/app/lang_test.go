package app

import (
	"context"
	"errors"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/diagnose"
)

func TestLanguage(t *testing.T) {
	for _, test := range []struct {
		flag []string
		env  map[string]string
		want diagnose.Lang // "" = a usage error
	}{
		{nil, nil, "en"},
		{nil, map[string]string{"LANG": "ja_JP.UTF-8"}, "ja"},
		{nil, map[string]string{"LANG": "ja"}, "ja"},
		{nil, map[string]string{"LANG": "JA-jp"}, "ja"},
		{nil, map[string]string{"LANG": "ja.eucJP"}, "ja"},
		{nil, map[string]string{"LANG": "ja_JP.UTF-8", "LC_MESSAGES": "C"}, "en"},
		{nil, map[string]string{"LANG": "en_US.UTF-8", "LC_MESSAGES": "ja_JP.UTF-8"}, "ja"},
		{nil, map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "ja_JP.UTF-8"}, "ja"},
		{nil, map[string]string{"LC_ALL": "C.UTF-8", "LANG": "ja_JP.UTF-8"}, "en"},
		{nil, map[string]string{"LANG": "jav_ID"}, "en"}, // Javanese
		{nil, map[string]string{"LANG": "de_DE.UTF-8"}, "en"},
		{[]string{"--lang", "en"}, map[string]string{"LC_ALL": "ja_JP.UTF-8"}, "en"},
		{[]string{"--lang=ja"}, nil, "ja"},
		{[]string{"--lang=de"}, nil, ""},
		{[]string{"--lang="}, nil, ""},
		{[]string{"--lang=\x1b[31m"}, nil, ""},
	} {
		a := &App{Host: &host.Host{Env: func(key string) string { return test.env[key] }}}
		var got diagnose.Lang
		app := &cli.App{Flags: []cli.Flag{langFlag()}, Action: func(c *cli.Context) (err error) {
			got, err = a.language(c)
			return err
		}}
		err := app.RunContext(context.Background(), append([]string{"certtrust"}, test.flag...))
		var wrong *usageError
		if test.want == "" && !errors.As(err, &wrong) || test.want != "" && err != nil {
			t.Errorf("%q %v: %v", test.flag, test.env, err)
		}
		if test.want == "" && !errors.Is(err, store.ErrInput) {
			t.Errorf("%q: %v is no wrong input", test.flag, err)
		}
		if got != test.want {
			t.Errorf("%q %v: %q, want %q", test.flag, test.env, got, test.want)
		}
	}
}
