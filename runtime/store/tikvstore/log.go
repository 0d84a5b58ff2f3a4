package tikvstore

import (
	"context"
	"log/slog"
	"sync"

	"github.com/pingcap/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// redirectLog makes the client write to slog, once in the life of the process.
var redirectLog = sync.OnceFunc(func() {
	log.ReplaceGlobals(zap.New(logCore{}), &log.ZapProperties{Core: logCore{}, Level: zap.NewAtomicLevelAt(zap.DebugLevel)})
})

// A logCore hands what the client logs to slog. The client tells of every lock that it meets and of every try; what
// comes of it is in the errors of calls. Only what it calls an error is more than for debugging.
type logCore struct{ fields []zapcore.Field }

func logLevel(l zapcore.Level) slog.Level {
	if l >= zapcore.ErrorLevel {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

func (c logCore) Enabled(l zapcore.Level) bool {
	return slog.Default().Enabled(context.Background(), logLevel(l))
}

func (c logCore) With(fields []zapcore.Field) zapcore.Core {
	return logCore{append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

func (c logCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, list := range [][]zapcore.Field{c.fields, fields} {
		for _, f := range list {
			f.AddTo(values)
		}
	}
	if e.Level >= zapcore.ErrorLevel {
		slog.Warn("tikvstore: the client reports an error", "event", "tikv.error", "message", e.Message, "fields", values.Fields)
	} else {
		slog.Debug("tikvstore: the client reports", "event", "tikv.client", "message", e.Message, "fields", values.Fields)
	}
	return nil
}

func (c logCore) Sync() error { return nil }
