package diagnose

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Concerns tells whether an override is for a server. Where it is for some
// only, they are named by an address ("https://git.example:8443/team/"), a host
// with a port or without, "*" standing for any label, or a network
// ("10.0.0.0/8").
func (o Override) Concerns(t Target) bool {
	only := strings.ToLower(o.Only)
	if only == "" {
		return true
	}
	if network, err := netip.ParsePrefix(only); err == nil {
		host, err := netip.ParseAddr(t.Host)
		return err == nil && network.Contains(host.Unmap())
	}
	if _, rest, ok := strings.Cut(only, "://"); ok {
		only = rest
	}
	only, _, _ = strings.Cut(only, "/")
	only = only[strings.LastIndexByte(only, '@')+1:]
	host, port := only, ""
	// A colon within brackets, or one of several, belongs to an IPv6 address.
	if i := strings.LastIndexByte(only, ':'); i > strings.LastIndexByte(only, ']') && (only[0] == '[' || strings.Count(only, ":") == 1) {
		host, port = only[:i], only[i+1:]
	}
	if port != "" && port != strconv.Itoa(t.Port) {
		return false
	}
	labels := strings.Split(strings.Trim(host, "[]"), ".")
	return slices.EqualFunc(labels, strings.Split(strings.ToLower(t.Host), "."), func(pattern, label string) bool {
		return pattern == "*" || pattern == label
	})
}
