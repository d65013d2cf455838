package wincert

import (
	"fmt"
	"time"

	"github.com/certtrust/certtrust/store"
)

// API is the few calls to Windows that this package is made of, each without
// any policy. [System] is the real one; wincerttest has one in memory. Errors
// are an [Errno].
type API interface {
	// OpenStore opens a system store: the one of a location or, with collection,
	// what Windows puts together for its programs (CertOpenStore). Flags are
	// those of the location and of the way it is opened.
	OpenStore(collection bool, flags uint32, name string) (Handle, error)
	// CloseStore closes it (CertCloseStore).
	CloseStore(h Handle) error
	// NextCertificate returns the certificate after prev, which it frees; 0 at
	// the end (CertEnumCertificatesInStore).
	NextCertificate(h Handle, prev Context) (Context, error)
	// FindCertificate returns the first certificate after prev, which it frees,
	// with that SHA-1; 0 if there is none (CertFindCertificateInStore).
	FindCertificate(h Handle, sha1 [20]byte, prev Context) (Context, error)
	// Serialize returns the certificate with its properties, as the registry
	// holds it (CertSerializeCertificateStoreElement).
	Serialize(c Context) ([]byte, error)
	// AddSerialized adds what Serialize returned; disposition is AddNew or
	// AddReplace (CertAddSerializedElementToStore).
	AddSerialized(h Handle, element []byte, disposition uint32) error
	// DeleteCertificate takes it out of its store, and frees it whether that
	// succeeds or not (CertDeleteCertificateFromStore).
	DeleteCertificate(c Context) error
	// FreeCertificate frees it (CertFreeCertificateContext).
	FreeCertificate(c Context)
	// Commit has everything written (CertControlStore).
	Commit(h Handle) error

	// RegistryValue reads a value below HKEY_LOCAL_MACHINE (RegQueryValueEx).
	RegistryValue(key, name string) ([]byte, error)
	// RegistryWritable tells, without writing, what keeps this process from
	// writing below a key (RegOpenKeyEx).
	RegistryWritable(user bool, key string) error
	// Desktop reports whether a person can see and answer what this process
	// shows (GetProcessWindowStation, GetUserObjectInformation).
	Desktop() bool

	// Chain has Windows judge a chain (CertGetCertificateChain and
	// CertVerifyCertificateChainPolicy).
	Chain(r ChainRequest) (ChainResult, error)
}

// Handle is an open store, Context a certificate in one.
type (
	Handle  uintptr
	Context uintptr
)

// The flags of OpenStore, and the dispositions of AddSerialized.
const (
	openReadOnly     = 0x8000 // CERT_STORE_READONLY_FLAG
	openExisting     = 0x4000 // CERT_STORE_OPEN_EXISTING_FLAG
	openEnumArchived = 0x0200 // CERT_STORE_ENUM_ARCHIVED_FLAG

	AddNew     = 1 // CERT_STORE_ADD_NEW
	AddReplace = 3 // CERT_STORE_ADD_REPLACE_EXISTING
)

// ChainRequest is what Chain is asked.
type ChainRequest struct {
	Chain   [][]byte  // leaf first
	At      time.Time // zero = now
	Usage   string    // the OID of an extended key usage, "" = any
	Host    string    // a DNS name, "" = any
	Machine bool      // as services see it, not as this user does
}

// ChainResult is what Windows thinks of a chain.
type ChainResult struct {
	Status uint32   // the CERT_TRUST_… bits
	Policy uint32   // why the policy for servers refuses it, 0 = it does not
	Path   [][]byte // leaf to root
}

// Errno is an error code of Windows. A code that Windows wraps into an HRESULT
// is the plain one here. 0 is a call that failed without saying why, which is
// how a location that a system does not have shows.
type Errno uint32

// The codes that mean something to this package.
const (
	errNoReason  Errno = 0
	errNotThere  Errno = 2
	errDenied    Errno = 5
	errProtected Errno = 19
	errSharing   Errno = 32
	errUnable    Errno = 50
	errCancelled Errno = 1223
	errNotFound  Errno = 0x80092004
	errExists    Errno = 0x80092005
)

// errnos tells what the codes mean.
var errnos = []struct {
	code Errno
	kind error
	text string
	hint string
}{
	{errNoReason, store.ErrUnsupported, "this Windows does not have it", ""},
	{errNotThere, store.ErrNotFound, "it does not exist", ""},
	{3, store.ErrNotFound, "it does not exist", ""},
	{errDenied, store.ErrPermission, "Windows denies access", ""},
	{errProtected, store.ErrReadOnly, "it is write-protected", ""},
	{errSharing, store.ErrLocked, "another program is using it", "try again"},
	{33, store.ErrLocked, "another program is using it", "try again"},
	{errUnable, store.ErrConsent, "there is no interactive desktop on which Windows could ask a person", consentHint},
	{errCancelled, store.ErrConsent, "it was declined in the Windows dialog, or Windows could not show one", consentHint},
	{errNotFound, store.ErrNotFound, "there is no such certificate", ""},
	{errExists, store.ErrStale, "the certificate is there already", ""},
}

const consentHint = "change the machine's store instead, as administrator: --store windows:LocalMachine"

// NewErrno returns the error for a code as Windows has it.
func NewErrno(code uint32) Errno {
	if code&0xffff0000 == 0x80070000 { // HRESULT_FROM_WIN32
		code &= 0xffff
	}
	return Errno(code)
}

// Error returns what the code means.
func (e Errno) Error() string {
	for _, row := range errnos {
		if row.code == e {
			return row.text
		}
	}
	return fmt.Sprintf("Windows error %d (%#x)", uint32(e), uint32(e))
}

// Is makes an Errno of the kind that its row says.
func (e Errno) Is(target error) bool {
	for _, row := range errnos {
		if row.code == e {
			return row.kind == target
		}
	}
	return target == store.ErrFailed
}

func (e Errno) hint() string {
	for _, row := range errnos {
		if row.code == e {
			return row.hint
		}
	}
	return ""
}
