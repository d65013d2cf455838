package wincert

import (
	"errors"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// System returns the calls of this machine's Windows.
func System() API { return system{} }

type system struct{}

var (
	crypt32 = windows.NewLazySystemDLL("crypt32.dll")
	user32  = windows.NewLazySystemDLL("user32.dll")

	procSerialize     = crypt32.NewProc("CertSerializeCertificateStoreElement")
	procAddSerialized = crypt32.NewProc("CertAddSerializedElementToStore")
	procControlStore  = crypt32.NewProc("CertControlStore")
	procCreateEngine  = crypt32.NewProc("CertCreateCertificateChainEngine")
	procFreeEngine    = crypt32.NewProc("CertFreeCertificateChainEngine")
	procStation       = user32.NewProc("GetProcessWindowStation")
	procObjectInfo    = user32.NewProc("GetUserObjectInformationW")
)

// errno returns err as an Errno, nil for nil.
func errno(err error) error {
	var code syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EINVAL): // what Go makes of a failure with the code 0
		return errNoReason
	case errors.As(err, &code):
		return NewErrno(uint32(code))
	}
	return err
}

// call calls a function that returns whether it succeeded.
func call(p *windows.LazyProc, args ...uintptr) error {
	if err := p.Find(); err != nil {
		return errNoReason
	}
	ok, _, err := p.Call(args...)
	if ok != 0 {
		return nil
	}
	return errno(err)
}

func (system) OpenStore(collection bool, flags uint32, name string) (Handle, error) {
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, errno(err)
	}
	provider := uintptr(windows.CERT_STORE_PROV_SYSTEM_REGISTRY_W)
	if collection {
		provider = windows.CERT_STORE_PROV_SYSTEM_W
	}
	h, err := windows.CertOpenStore(provider, 0, 0, flags, uintptr(unsafe.Pointer(text)))
	runtime.KeepAlive(text)
	return Handle(h), errno(err)
}

func (system) CloseStore(h Handle) error {
	return errno(windows.CertCloseStore(windows.Handle(h), 0))
}

// contextOf and pointer convert what only Windows looks into.
func contextOf(p *windows.CertContext) Context { return Context(unsafe.Pointer(p)) }
func pointer(c Context) *windows.CertContext {
	return *(**windows.CertContext)(unsafe.Pointer(&c))
}

func (system) NextCertificate(h Handle, prev Context) (Context, error) {
	next, err := windows.CertEnumCertificatesInStore(windows.Handle(h), pointer(prev))
	return found(next, err)
}

func (system) FindCertificate(h Handle, sha1 [20]byte, prev Context) (Context, error) {
	blob := windows.CryptHashBlob{Size: uint32(len(sha1)), Data: &sha1[0]}
	next, err := windows.CertFindCertificateInStore(windows.Handle(h), windows.X509_ASN_ENCODING|windows.PKCS_7_ASN_ENCODING, 0,
		windows.CERT_FIND_SHA1_HASH, unsafe.Pointer(&blob), pointer(prev))
	return found(next, err)
}

// found tells the end of a search from a failure.
func found(c *windows.CertContext, err error) (Context, error) {
	if c != nil {
		return contextOf(c), nil
	}
	switch err := errno(err); err {
	case nil, errNoReason, errNotFound, NewErrno(uint32(windows.ERROR_NO_MORE_FILES)):
		return 0, nil
	default:
		return 0, err
	}
}

func (system) Serialize(c Context) ([]byte, error) {
	var size uint32
	if err := call(procSerialize, uintptr(c), 0, 0, uintptr(unsafe.Pointer(&size))); err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, errNoReason
	}
	data := make([]byte, size)
	if err := call(procSerialize, uintptr(c), 0, uintptr(unsafe.Pointer(&data[0])), uintptr(unsafe.Pointer(&size))); err != nil {
		return nil, err
	}
	return data[:min(int(size), len(data))], nil
}

func (system) AddSerialized(h Handle, element []byte, disposition uint32) error {
	if len(element) == 0 {
		return NewErrno(uint32(windows.ERROR_INVALID_PARAMETER))
	}
	const certificates = 0x2 // CERT_STORE_CERTIFICATE_CONTEXT_FLAG
	return call(procAddSerialized, uintptr(h), uintptr(unsafe.Pointer(&element[0])), uintptr(len(element)), uintptr(disposition), 0, certificates, 0, 0)
}

func (system) DeleteCertificate(c Context) error {
	return errno(windows.CertDeleteCertificateFromStore(pointer(c)))
}

func (system) FreeCertificate(c Context) { windows.CertFreeCertificateContext(pointer(c)) }

func (system) Commit(h Handle) error {
	const force, commit = 1, 3 // CERT_STORE_CTRL_COMMIT_FORCE_FLAG, CERT_STORE_CTRL_COMMIT
	return call(procControlStore, uintptr(h), force, commit, 0)
}

func (system) RegistryValue(key, name string) ([]byte, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return nil, errno(err)
	}
	defer k.Close()
	n, _, err := k.GetValue(name, nil)
	if err != nil {
		return nil, errno(err)
	}
	data := make([]byte, n)
	if n, _, err = k.GetValue(name, data); err != nil {
		return nil, errno(err)
	}
	return data[:n], nil
}

func (system) RegistryWritable(user bool, key string) error {
	root := registry.LOCAL_MACHINE
	if user {
		root = registry.CURRENT_USER
	}
	k, err := registry.OpenKey(root, key, registry.SET_VALUE|registry.CREATE_SUB_KEY|registry.WOW64_64KEY)
	if err != nil {
		return errno(err)
	}
	return errno(k.Close())
}

func (system) Desktop() bool {
	const flags, visible = 1, 1 // UOI_FLAGS, WSF_VISIBLE
	if procStation.Find() != nil || procObjectInfo.Find() != nil {
		return false
	}
	station, _, _ := procStation.Call()
	var info struct {
		inherit, reserved int32
		flags             uint32
	}
	err := call(procObjectInfo, station, flags, uintptr(unsafe.Pointer(&info)), unsafe.Sizeof(info), 0)
	return err == nil && info.flags&visible != 0
}

// engineConfig is CERT_CHAIN_ENGINE_CONFIG as Windows Vista has it.
type engineConfig struct {
	size                                               uint32
	restrictedRoot, restrictedTrust, restrictedOther   windows.Handle
	additionalStores                                   uint32
	additional                                         uintptr
	flags, timeout, maximumCached, cycleDetectionLimit uint32
}

// newEngine makes an engine of its own: the one that all share knows what was
// so when the process began.
func newEngine(machine bool) (windows.Handle, error) {
	const useMachineStore = 0x8 // CERT_CHAIN_USE_LOCAL_MACHINE_STORE
	var config engineConfig
	config.size = uint32(unsafe.Sizeof(config))
	if machine {
		config.flags = useMachineStore
	}
	var engine windows.Handle
	err := call(procCreateEngine, uintptr(unsafe.Pointer(&config)), uintptr(unsafe.Pointer(&engine)))
	return engine, err
}

func (system) Chain(r ChainRequest) (ChainResult, error) {
	const encoding = windows.X509_ASN_ENCODING | windows.PKCS_7_ASN_ENCODING
	memory, err := windows.CertOpenStore(windows.CERT_STORE_PROV_MEMORY, 0, 0, windows.CERT_STORE_DEFER_CLOSE_UNTIL_LAST_FREE_FLAG, 0)
	if err != nil {
		return ChainResult{}, errno(err)
	}
	defer windows.CertCloseStore(memory, 0)
	var leaf *windows.CertContext
	for _, der := range r.Chain {
		if len(der) == 0 {
			return ChainResult{}, NewErrno(uint32(windows.ERROR_INVALID_PARAMETER))
		}
		c, err := windows.CertCreateCertificateContext(encoding, &der[0], uint32(len(der)))
		if err != nil {
			return ChainResult{}, errno(err)
		}
		defer windows.CertFreeCertificateContext(c)
		var added *windows.CertContext
		if err := windows.CertAddCertificateContextToStore(memory, c, windows.CERT_STORE_ADD_ALWAYS, &added); err != nil {
			return ChainResult{}, errno(err)
		}
		defer windows.CertFreeCertificateContext(added)
		if leaf == nil {
			leaf = added
		}
	}
	if leaf == nil {
		return ChainResult{}, NewErrno(uint32(windows.ERROR_INVALID_PARAMETER))
	}
	engine, err := newEngine(r.Machine)
	if err != nil {
		return ChainResult{}, err
	}
	defer procFreeEngine.Call(uintptr(engine))

	para := windows.CertChainPara{}
	para.Size = uint32(unsafe.Sizeof(para))
	if r.Usage != "" {
		oid, err := windows.BytePtrFromString(r.Usage)
		if err != nil {
			return ChainResult{}, errno(err)
		}
		usages := []*byte{oid}
		para.RequestedUsage = windows.CertUsageMatch{Type: windows.USAGE_MATCH_TYPE_AND, Usage: windows.CertEnhKeyUsage{Length: 1, UsageIdentifiers: &usages[0]}}
		defer runtime.KeepAlive(usages)
	}
	var at *windows.Filetime
	if !r.At.IsZero() {
		t := windows.NsecToFiletime(r.At.UnixNano())
		at = &t
	}
	var chain *windows.CertChainContext
	if err := windows.CertGetCertificateChain(engine, leaf, at, memory, &para, 0, 0, &chain); err != nil {
		return ChainResult{}, errno(err)
	}
	defer windows.CertFreeCertificateChain(chain)
	out := ChainResult{Status: chain.TrustStatus.ErrorStatus}
	if chain.ChainCount > 0 {
		chains := unsafe.Slice(chain.Chains, chain.ChainCount)
		last := chains[len(chains)-1]
		for _, e := range unsafe.Slice(last.Elements, last.NumElements) {
			out.Path = append(out.Path, append([]byte{}, unsafe.Slice(e.CertContext.EncodedCert, e.CertContext.Length)...))
		}
	}
	if r.Usage == serverAuthOID {
		ssl := windows.SSLExtraCertChainPolicyPara{AuthType: windows.AUTHTYPE_SERVER}
		ssl.Size = uint32(unsafe.Sizeof(ssl))
		if r.Host != "" {
			if ssl.ServerName, err = windows.UTF16PtrFromString(r.Host); err != nil {
				return out, errno(err)
			}
		}
		policy := windows.CertChainPolicyPara{ExtraPolicyPara: (windows.Pointer)(unsafe.Pointer(&ssl))}
		policy.Size = uint32(unsafe.Sizeof(policy))
		status := windows.CertChainPolicyStatus{}
		status.Size = uint32(unsafe.Sizeof(status))
		if err := windows.CertVerifyCertificateChainPolicy(windows.CERT_CHAIN_POLICY_SSL, chain, &policy, &status); err != nil {
			return out, errno(err)
		}
		out.Policy = status.Error
		runtime.KeepAlive(&ssl)
	}
	return out, nil
}
