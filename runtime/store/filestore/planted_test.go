package filestore_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A bug is a mistake that could be made, and the test that must fail because of it.
type bug struct {
	what     string
	file     string // from the root of the module
	old, new string // old is there once
	test     string // in the package of the file; subtests behind slashes
}

const (
	inStore   = "runtime/store/filestore/"
	inRuntime = "runtime/"
)

// The bugs stand in the order of what they break: what is acknowledged, what is on the disk and in which order, what an
// opening takes for true, what runs and compactions leave, what is published, and what the runtime makes of it.
var bugs = []bug{
	{
		"a commit is acknowledged before its sync", inStore + "log.go",
		"if err := seg.sync(l.at.end); err != nil {\n\t\t\treturn true, err",
		"if err := seg.syncErr; err != nil {\n\t\t\treturn true, err",
		"TestCrashAtEveryOperation/Sync",
	},
	{
		"the first segment is synced instead of the newest", inStore + "log.go",
		"if err := seg.sync(l.at.end); err != nil {\n\t\t\treturn true, err",
		"if err := l.segments.all()[0].sync(l.at.end); err != nil {\n\t\t\treturn true, err",
		"TestCrashAtEveryOperation/Sync",
	},
	{
		"a segment is not synced before the next one is begun", inStore + "log.go",
		"if err := old.sync(l.at.end); err != nil { // L3",
		"if err := old.syncErr; err != nil { // L3",
		"TestCrashAtEveryOperation/NoSync",
	},
	{
		"a durable mark covers what is not synced yet", inStore + "log.go",
		"seg, at, durable := l.segment, l.at, l.segment.durable.Load()",
		"seg, at, durable := l.segment, l.at, l.at.end",
		"TestTornEndAndDamageAreToldApart",
	},
	{
		"the durable mark does not advance", inStore + "segment.go",
		"if end > g.durable.Load() {",
		"if end < g.durable.Load() {",
		"TestIdleMarkCoversTheLastCommit",
	},
	{
		"a sync that failed is tried again", inStore + "segment.go",
		"g.syncErr = fmt.Errorf(\"sync %s: %w\", g.name, err)\n\t\treturn g.syncErr",
		"return fmt.Errorf(\"sync %s: %w\", g.name, err)",
		"TestFailedSyncIsNotTriedAgain",
	},
	{
		"those who wait are acknowledged when the sync of their group fails", inStore + "commit.go",
		"c.err = g.outcome(c)",
		"if c == g.commits[0] {\n\t\t\tc.err = g.outcome(c)\n\t\t}",
		"TestFailureReachesEveryWaiter",
	},
	{
		"a failed write does not poison the store", inStore + "commit.go",
		"if !errors.Is(g.err, store.ErrFull) {\n\t\ts.fail(g.err)",
		"if !errors.Is(g.err, store.ErrFull) {\n\t\ts.log.Error(\"filestore: a write failed\", \"err\", g.err)",
		"TestFailedSyncThenRestartThenPowerCut",
	},
	{
		"a poisoned store is written to", inStore + "commit.go",
		"if s.failed != nil {\n\t\treturn nil, s.failedError()",
		"if s.failed != nil && s.busy {\n\t\treturn nil, s.failedError()",
		"TestFailedBackgroundSync",
	},
	{
		"what was written of a refused commit stays", inStore + "log.go",
		"if e := l.segment.f.Truncate(l.at.end); e != nil {",
		"if e := l.segment.syncErr; e != nil {",
		"TestRefusedGroupDoesNotComeBack",
	},
	{
		"the directory is not synced after a rename", inStore + "manifest.go",
		"return fsys.SyncDir()",
		"return nil",
		"TestCrashAtEveryOperation/Sync",
	},
	{
		"the manifest is renamed before it is synced", inStore + "fs.go",
		"_, err = f.WriteAt(b, 0)\n\tif err == nil {\n\t\terr = f.Sync()",
		"_, err = f.WriteAt(b, 0)\n\tif err == nil {\n\t\terr = nil",
		"TestCrashAtEveryOperation/Sync",
	},
	{
		"a segment that the manifest names may not be in the directory", inStore + "log.go",
		"if err := l.fs.SyncDir(); err != nil { // else the manifest",
		"if err := old.syncErr; err != nil { // else the manifest",
		"TestCrashAtEveryOperation/Sync",
	},
	{
		"the checksum of a value is not compared", inStore + "segment.go",
		"if sum := valueChecksum(bytesOf(key), b); sum != e.sum {",
		"if sum := valueChecksum(bytesOf(key), b); sum != e.sum && len(b) == 0 {",
		"TestDamagedValueIsAnErrorOfItsKey",
	},
	{
		"only the header of a frame is compared with its checksum", inStore + "segment.go",
		"if sum := checksum(b); sum != f.payloadSum {",
		"if sum := checksum(b); sum != f.payloadSum && len(b) == 0 {",
		"TestTornEndAndDamageAreToldApart",
	},
	{
		"the checksum of a block is not compared", inStore + "block.go",
		"binary.LittleEndian.Uint32(b[len(body):]); sum != want {",
		"binary.LittleEndian.Uint32(b[len(body):]); sum != want && len(body) == 0 {",
		"TestADamagedRunIsNoticed",
	},
	{
		"a length is used before it is compared with what is there", inStore + "frame.go",
		"if n > uint64(len(d.b)-d.at) {",
		"if n > uint64(len(d.b)) {",
		"TestBadPayloads",
	},
	{
		"a torn end is cut in silence", inStore + "succeed.go",
		"s.log.Warn(\"filestore: cut the torn end",
		"s.log.Debug(\"filestore: cut the torn end",
		"TestTornEndIsCutLoggedAndKept",
	},
	{
		"a damaged middle is taken for a torn end", inStore + "recover.go",
		"if later.durable > r.at.end {\n\t\treturn seg.corrupt(",
		"if later.durable > r.at.end {\n\t\treturn nil\n\t\treturn seg.corrupt(",
		"TestTornEndAndDamageAreToldApart",
	},
	{
		"a manifest that is newer than the log is accepted", inStore + "recover.go",
		"floor = m.floorEnd",
		"floor = 0",
		"TestCutOrMissingFileIsNeverAWrongAnswer",
	},
	{
		"a recovery takes what it can read for what is on the disk", inStore + "succeed.go",
		"\tl := s.commitLog\n\tnext := &segment{id: 1, salt: newSalt()}",
		"\tl := s.commitLog\n\tr.mark = r.at\n\tnext := &segment{id: 1, salt: newSalt()}",
		"TestFailedSyncThenRestartThenPowerCut",
	},
	{
		"a recovery does not copy moves", inStore + "succeed.go",
		"if old.kind != frameCommit && old.kind != frameMove {",
		"if old.kind != frameCommit {",
		"TestCrashAtEveryOperation/Sync",
	},
	{
		"an opening that may have lost commits goes on with the old history", inStore + "succeed.go",
		"if cut || l.manifest.loose {",
		"if cut {",
		"TestHistories",
	},
	{
		"a run is written before the log that it stands for is synced", inStore + "flush.go",
		"if err := s.syncTo(f.seg, f.frozen.end); err != nil {",
		"if err := f.seg.syncErr; err != nil {",
		"TestCrashAtEveryOperation/NoSync",
	},
	{
		"a merge drops what hides deleted keys in older runs", inStore + "flush.go",
		"all: n < len(ver.runs), runs:",
		"all: false, runs:",
		"TestRandomOperationsAgainstAMap",
	},
	{
		"a deletion in memory does not hide what is in a run", inStore + "delta.go",
		"hides := !st.flat()",
		"hides := st.frozen != nil",
		"TestRandomOperationsAgainstAMap",
	},
	{
		"a segment whose values were moved by commits is removed before the manifest without it is on the disk", inStore + "compact.go",
		"gone := []*segment{seg}\n",
		"gone := []*segment{seg}\n\t_ = s.fs.Remove(seg.name)\n",
		"TestCrashAtEveryOperation/Sync",
	},
	{
		"a segment is removed before the manifest without it is on the disk", inStore + "flush.go",
		"if err := s.install(r, merged, gone, func(",
		"for _, g := range gone {\n\t\t_ = s.fs.Remove(g.name)\n\t}\n\tif err := s.install(r, merged, gone, func(",
		"TestCrashAtEveryOperation/Sync",
	},
	{
		"a segment is dropped before the log with its values is synced", inStore + "compact.go",
		"return end, s.syncTo(end.seg, end.end)",
		"return end, end.seg.syncErr",
		"TestCrashAtEveryOperation/NoSync",
	},
	{
		"a key that was deleted is known with its old version", inStore + "known.go",
		"if p.seq = 0; c.entry != nil {",
		"if c.entry != nil {",
		"TestKnownVersions",
	},
	{
		"a key whose value is short now is known with its old version", inStore + "known.go",
		"if p.seq = 0; c.entry != nil {\n\t\t\tp.seq = c.entry.seq",
		"if c.entry == nil {\n\t\t\tp.seq = 0",
		"TestKnownVersions",
	},
	{
		"a run has the old place of a value that was moved", inStore + "empty.go",
		"h.location = m.moves[h.move].location",
		"_ = h.move",
		"TestRandomOperationsAgainstAMap",
	},
	{
		"a segment goes whose values a newer run may still need", inStore + "compact.go",
		"if seg.id >= ver.replay {",
		"if seg.id > ver.replay {",
		"TestRandomOperationsAgainstAMap",
	},
	{
		"an emptied segment goes although a value in it could not be read", inStore + "empty.go",
		"delete(m.from, seg.id)",
		"_ = seg.id",
		"TestDamagedSegmentStays",
	},
	{
		"a merge empties a segment that a later flush needs", inStore + "flush.go",
		"if u := s.usageOf(ver); u.dead()",
		"if u := s.usage(); u.dead()",
		"TestMergeKnowsNothingOfLaterFlushes",
	},
	{
		"what was moved out of a damaged segment is not synced", inStore + "flush.go",
		"if len(segs) > 0 { // also if all",
		"if len(gone) > 0 { // also if all",
		"TestMovesOutOfADamagedSegmentAreSynced",
	},
	{
		"a run that the manifest has no room for stays", inStore + "flush.go",
		"if errors.As(err, new(notRenamed)) {",
		"if false {",
		"TestDeletesOnAFullDisk",
	},
	{
		"a segment is removed while a snapshot reads it", inStore + "flush.go",
		"s.commitLog.segments.remove(gone)\n",
		"s.commitLog.segments.remove(gone)\n\tfor _, g := range gone {\n\t\ts.discard(g.f, g.name)\n\t}\n",
		"TestSnapshotKeepsItsSegments",
	},
	{
		"a move brings back what was deleted meanwhile", inStore + "move.go",
		"case it.entry != nil && it.entry.seq == ch.entry.seq, !known && same:",
		"case it.entry == nil || it.entry.seq == ch.entry.seq, !known && same:",
		"TestMovesLoseToNewerCommits",
	},
	{
		"a move that is replayed wins over a newer commit", inStore + "move.go",
		"if seq == ch.entry.seq {\n\t\t\tst.delta.ReplaceOrInsert(st.item(ch.key, ch.entry))",
		"if seq >= ch.entry.seq {\n\t\t\tst.delta.ReplaceOrInsert(st.item(ch.key, ch.entry))",
		"TestMovesLoseToNewerCommits",
	},
	{
		"a snapshot sees later commits", inStore + "snapshot.go",
		"s.view = s.delta.Clone()",
		"s.view = s.delta",
		"TestRandomOperationsAgainstAMap",
	},
	{
		"a snapshot takes newer documents from the cache", inStore + "snapshot.go",
		"return decoded, v, ok && v <= store.Version(st.at.seq)",
		"return decoded, v, ok",
		"TestContract/NoSync",
	},
	{
		"what was looked up before the lock counts for ever", inStore + "commit.go",
		"if c.ver != nil && s.at == c.seen {",
		"if c.ver != nil {",
		"TestConditionsAreThoseOfTheMoment",
	},
	{
		"a fence is remembered after it was changed", inStore + "commit.go",
		"s.recent.add(c.at, c.enc.changes)\n\t\t\ts.forgetFences(c.enc.changes)",
		"s.recent.add(c.at, c.enc.changes)",
		"TestConditionsAreThoseOfTheMoment",
	},
	{
		"guards do not see what is pending", inStore + "commit.go",
		"for i := len(s.pending); i >= 0; i-- { // the newest first",
		"for i := len(s.pending) - 1; i >= 0; i-- { // the newest first",
		"TestGuardsSeeWhatIsPending",
	},
	{
		"range checks do not see what is pending", inStore + "recent.go",
		"for i := 0; i <= len(s.pending); i++ {",
		"for i := 0; i < len(s.pending); i++ {",
		"TestRangeChecksSeeWhatIsPending",
	},
	{
		"a watcher misses a commit where a segment begins", inStore + "logreader.go",
		"r.enter(next)\n\t}\n\tif r.limit",
		"r.enter(next)\n\t\tif f, err = r.frame(limit); err != nil {\n\t\t\treturn f, err\n\t\t}\n\t}\n\tif r.limit",
		"TestWatchTellsOnceOverSegments",
	},
	{
		"a watcher reads on into another history", inStore + "logreader.go",
		"if next == nil || next.before != r.at {",
		"if next == nil {",
		"TestWatchDoesNotReadOnIntoAnotherHistory",
	},
	{
		"the directory is not locked", inStore + "lock.go",
		"err = f.Lock()",
		"err = nil",
		"TestSecondOpenIsLocked",
	},
	{
		"the lock is given back on the way of an error", inStore + "lock.go",
		"if err != nil {\n\t\t// The lock is held all the same",
		"if err != nil {\n\t\tf.Close()\n\t\t// The lock is held all the same",
		"TestLockOfAnUnknownOwnerIsHeld",
	},
	{
		"the entry of the old value is kept in an index", inRuntime + "writer.go",
		"ops = append(ops, store.Op{Key: ch.old.key(&old[0]), Delete: true})\n",
		"",
		"TestRepository/mem/InsertOverwriteUpsertDelete",
	},
	{
		"a unique value is not guarded in the commit", inRuntime + "writer.go",
		"op.Guard = store.At(store.Absent)\n",
		"op.Guard = store.Guard{}\n",
		"TestRepository/mem/UniqueValuesHaveOneHolder",
	},
	{
		"a write does not depend on the catalogue", inRuntime + "writer.go",
		"w.batch.Fences = append(w.batch.Fences, store.Check{Key: c.key, Version: reg.version})",
		"",
		"TestRepository/mem/AChangedViewIsBuiltAnew",
	},
	{
		"a transaction does not guard the ranges that it went over", inRuntime + "tx.go",
		"w.batch.Ranges = sc.ranges",
		"w.batch.Ranges = nil",
		"TestRepository/mem/TxLitmus",
	},
	{
		"a document that is made anew passes for the old one", inRuntime + "rev.go",
		"return Rev{n: 1, incarnation: newIncarnation()}",
		"return Rev{n: 1, incarnation: 1}",
		"TestRepository/mem/ADocumentMadeAnewIsAnotherOne",
	},
	{
		"a cursor begins with the document it stands behind", inRuntime + "plan.go",
		"s.lo = append(append(s.lo[:0], key...), 0) // the next key",
		"s.lo = append(s.lo[:0], key...) // the next key",
		"TestRepository/mem/QueriesFindInOrder",
	},
	{
		"a cursor is not bound to its direction", inRuntime + "cursor.go",
		"if p.reverse {\n\t\tb = append(b, 'r')",
		"if p.reverse {\n\t\tb = append(b, 0)[:len(b)]",
		"TestRepository/mem/ForeignCursorsAreRefused",
	},
	{
		"callers get the document that the cache has", inRuntime + "repo.go",
		"\t\treturn none, err\n\t}\n\treturn r.schema.Clone(e.doc.(D)), nil",
		"\t\treturn none, err\n\t}\n\treturn e.doc.(D), nil",
		"TestRepository/mem/DocumentsAreTheCallersOwn",
	},
	{
		"a slow reader puts an old document into the cache", inRuntime + "cache.go",
		"if s.lastSeq > mark {",
		"if s.lastSeq > mark && false {",
		"TestCacheRefusesAnOldFill",
	},
	{
		"the order of keys follows a clock that is put back", inRuntime + "id.go",
		"if at <= s.last {",
		"if at == s.last {",
		"TestMadeUUIDsSortByTime",
	},
}

// Each of the bugs is found by the test that is named with it, so none of them can ship. A small run tries two, one in continuous
// integration nine, and KIXX_LONG=1 all; which ones depends on what is in the files.
func TestPlantedBugsAreFound(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("each bug is compiled, and its test run, by the go command")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	sources := fnv.New64()
	for _, b := range bugs {
		src, err := b.source()
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(src, b.old); n != 1 {
			t.Errorf("%s: %q is in %s %d times, want once", b.what, b.old, b.file, n)
		}
		io.WriteString(sources, src)
	}
	var some, costly []bug // those of the runtime take ten times as long to compile
	for _, b := range bugs {
		if strings.HasPrefix(b.file, inStore) {
			some = append(some, b)
		} else {
			costly = append(costly, b)
		}
	}
	pick := func(list []bug, n int) []bug {
		first := int(sources.Sum64() % uint64(len(list)))
		return append(slices.Clone(list[first:]), list[:first]...)[:min(n, len(list))]
	}
	some = append(pick(some, size(1, 8, len(some))), pick(costly, size(1, 1, len(costly)))...)
	var mu sync.Mutex
	var slowest time.Duration
	found, begun := 0, time.Now()
	two := make(chan struct{}, 2) // at a time
	t.Run("Bug", func(t *testing.T) {
		for _, b := range some {
			t.Run(b.what, func(t *testing.T) {
				t.Parallel()
				two <- struct{}{}
				defer func() { <-two }()
				start := time.Now()
				if err := b.find(t); err != nil {
					t.Fatal(err)
				}
				took := time.Since(start)
				t.Logf("%s: found by %s in %.1f s", b.what, b.test, took.Seconds())
				mu.Lock()
				defer mu.Unlock()
				found++
				slowest = max(slowest, took)
			})
		}
	})
	proof(t, 24, "bugs", len(some), "found", found, "seconds", int(time.Since(begun).Seconds()), "slowest", int(slowest.Seconds()))
}

// moduleRoot is where the go command runs.
var moduleRoot = filepath.Join("..", "..", "..")

func (b *bug) source() (string, error) {
	src, err := os.ReadFile(filepath.Join(moduleRoot, b.file))
	return string(src), err
}

// quickCompile saves a third of the time, most of which goes into compiling again what imports the file with the bug.
const quickCompile = "-gcflags=github.com/kixxgen/kixxgen/...=-N -l -dwarf=false"

// find runs the test of the bug on the module as it is with the bug. It returns an error unless the test fails.
func (b *bug) find(t *testing.T) error {
	src, err := b.source()
	if err != nil {
		return err
	}
	dir := t.TempDir()
	planted, overlay := filepath.Join(dir, path.Base(b.file)), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {b.file: planted}})
	if err := errors.Join(err,
		os.WriteFile(planted, []byte(strings.Replace(src, b.old, b.new, 1)), 0o600),
		os.WriteFile(overlay, replace, 0o600),
	); err != nil {
		return err
	}
	test := "^" + strings.ReplaceAll(b.test, "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay="+overlay, "-vet=off", quickCompile, "-run="+test, "-count=1", "-timeout=60s", "./"+path.Dir(b.file))
	cmd.Dir = moduleRoot
	// The small size must do: no wish for another one is passed on.
	cmd.Env = slices.DeleteFunc(cmd.Environ(), func(v string) bool { return strings.HasPrefix(v, "KIXX_") })
	output, err := cmd.CombinedOutput()
	out := string(output)
	name, _, _ := strings.Cut(b.test, "/")
	switch {
	case err == nil:
		return fmt.Errorf("%s does not find it:\n%s", b.test, out)
	case strings.Contains(out, "panic: test timed out"):
		return fmt.Errorf("%s does not end:\n%.4000s", b.test, out)
	case strings.Contains(out, "--- FAIL: "+name):
		return nil
	case strings.Contains(out, "panic: ") && strings.Contains(out, "."+name+"."): // in a goroutine of the store
		return nil
	}
	return fmt.Errorf("%s was not run: %w\n%s", b.test, err, out) // it does not compile
}
