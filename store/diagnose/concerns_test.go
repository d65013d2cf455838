package diagnose

import "testing"

func TestConcerns(t *testing.T) {
	for _, test := range []struct {
		only, host string
		port       int
		want       bool
	}{
		{"", "a.example", 443, true},
		{"a.example", "A.example", 443, true},
		{"a.example", "b.example", 443, false},
		{"a.example:8443", "a.example", 8443, true},
		{"a.example:8443", "a.example", 443, false},
		{"https://a.example/", "a.example", 443, true},
		{"https://ann@a.example:8443/team/repo", "a.example", 8443, true},
		{"https://a.example", "x.a.example", 443, false},
		{"https://*.example", "a.example", 443, true},
		{"https://*.example", "a.b.example", 443, false},
		{"10.0.0.0/8", "10.1.2.3", 5000, true},
		{"10.0.0.0/8", "11.1.2.3", 5000, false},
		{"10.0.0.0/8", "a.example", 5000, false},
		{"10.1.2.3:5000", "10.1.2.3", 5000, true},
		{"::1", "::1", 443, true},
		{"[::1]:8443", "::1", 8443, true},
		{"[::1]:8443", "::1", 443, false},
		{"/", "a.example", 443, false},
		{"@", "a.example", 443, false},
		{":", "a.example", 443, false},
		{"[", "a.example", 443, false},
		{"]", "a.example", 443, false},
	} {
		if got := (Override{Only: test.only}).Concerns(Target{Host: test.host, Port: test.port}); got != test.want {
			t.Errorf("%q for %s:%d: %v", test.only, test.host, test.port, got)
		}
	}
}

func FuzzConcerns(f *testing.F) {
	f.Add("https://a@[::1]:1/x", "::1")
	f.Fuzz(func(t *testing.T, only, host string) {
		Override{Only: only}.Concerns(Target{Host: host, Port: 443})
	})
}
