package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// listed is what go list says about one package.
type listed struct {
	Dir, ImportPath, Name                                        string
	GoFiles, CgoFiles, TestGoFiles, XTestGoFiles, InvalidGoFiles []string
	IgnoredGoFiles                                               []string
	ImportMap                                                    map[string]string
	Module                                                       *struct{ Path string }
	Standard, DepOnly                                            bool
	Error                                                        *struct{ Pos, Err string }
}

// listFields are the fields of listed. Export and CompiledGoFiles are not asked for: they run cgo and the compiler.
const listFields = "Dir,ImportPath,Name,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles,InvalidGoFiles,IgnoredGoFiles," +
	"ImportMap,Module,Standard,DepOnly,Error"

// goList runs go list once, for the packages of the patterns and all that they import. The user's own GOFLAGS, go.work
// and vendor directories apply, because it runs in his directory.
//
// An error means that there is no list at all, and carries what go said: no go.mod, a go line newer than the toolchain,
// a vendor directory that does not agree with go.mod.
func goList(ctx context.Context, cfg Config) ([]*listed, error) {
	args := []string{"list", "-e", "-deps", "-json=" + listFields}
	if cfg.Tags != "" {
		args = append(args, "-tags="+cfg.Tags)
	}
	args = append(args, "--")
	args = append(args, cfg.Patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = cfg.Dir
	cmd.Env = cfg.env
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "PWD="+cfg.Dir)
	if cfg.GOOS != "" {
		cmd.Env = append(cmd.Env, "GOOS="+cfg.GOOS)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	runErr := cmd.Run()

	var list []*listed
	for dec := json.NewDecoder(&stdout); ; {
		p := new(listed)
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: output is not JSON: %w", err)
		}
		list = append(list, p)
	}
	if len(list) == 0 {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		said := strings.TrimSpace(stderr.String())
		switch {
		case said != "" && runErr != nil:
			return nil, Problems{{Text: said}}
		case said != "":
			return nil, Problems{{Text: said}} // a pattern that matched nothing is only a warning of go list
		case runErr != nil:
			return nil, fmt.Errorf("go list: %w", runErr)
		}
	}
	return list, nil
}
