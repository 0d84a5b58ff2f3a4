package etcdtest

import "syscall"

// dieWithParent has the server end with the tests, also when they are killed.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
