// Package listappend finds anomalies in histories of transactions that read lists and append to them, for tests. It follows
// the method of Elle (Kingsbury and Alvaro, VLDB 2020): each appended value is unique, so a read of a list tells who wrote
// what of it in which order, and from that follows which transaction must come before which. A cycle among them is an
// anomaly in the sense of Adya (1999).
package listappend

import (
	"fmt"
	"slices"
)

// An Op is a read of a list, or the append of a value to one.
type Op struct {
	Key    string
	Append int64   // 0: it is a read
	Read   []int64 // what was read
}

// An Outcome says what is known of a transaction.
type Outcome uint8

// A transaction of an unknown outcome may have been committed, and is one that was if somebody has read of it.
const (
	Committed Outcome = iota
	Aborted
	Unknown
)

// A Txn is one transaction, with its operations in order. It ran from Begin to End on a clock that all share.
type Txn struct {
	Ops        []Op
	Outcome    Outcome
	Begin, End int64
}

// An Anomaly is something that no serializable history has.
type Anomaly struct {
	Kind string // "G0", "G1a", "G1b", "G1c", "G-single", "G2", "lost append", "incompatible order", "duplicate", "internal", "garbage"; with "-realtime" if it takes the order in time
	Txns []int  // those that have part in it, in the order of the cycle
	Text string
}

func (a Anomaly) String() string {
	return fmt.Sprintf("%s: %s (transactions %v)", a.Kind, a.Text, a.Txns)
}

// edge says why a transaction comes before another one.
type edge uint8

const (
	ww edge = 1 << iota // it wrote the value that the other one's is appended to
	wr                  // the other one has read what it wrote
	rw                  // it has read the list without what the other one appended
	rt                  // it ended before the other one began
)

func (e edge) String() string {
	return map[edge]string{ww: "ww", wr: "wr", rw: "rw", rt: "rt"}[e]
}

type checker struct {
	txns   []Txn
	out    []map[int]edge
	writer map[string]map[int64]int // of each value of each key
	order  map[string][]int64
	found  []Anomaly
}

// Check returns the anomalies of a history. For a lost append to be found, the last transaction must read all lists.
func Check(txns []Txn) []Anomaly {
	c := &checker{txns: txns, out: make([]map[int]edge, len(txns)), writer: map[string]map[int64]int{}, order: map[string][]int64{}}
	for i := range c.out {
		c.out[i] = map[int]edge{}
	}
	c.writers()
	c.orders()
	c.reads()
	c.writes()
	c.times()
	c.cycles()
	return c.found
}

func (c *checker) report(kind, text string, args ...any) {
	c.found = append(c.found, Anomaly{Kind: kind, Text: fmt.Sprintf(text, args...)})
}

func (c *checker) add(from, to int, e edge) {
	if from != to {
		c.out[from][to] |= e
	}
}

// writers notes who has written each value.
func (c *checker) writers() {
	for i, t := range c.txns {
		for _, op := range t.Ops {
			if op.Append == 0 {
				continue
			}
			if c.writer[op.Key] == nil {
				c.writer[op.Key] = map[int64]int{}
			}
			c.writer[op.Key][op.Append] = i
		}
	}
}

// orders takes the longest read of each list for its order, which all other ones must begin.
func (c *checker) orders() {
	each := func(f func(i int, op *Op)) {
		for i := range c.txns {
			if c.txns[i].Outcome != Aborted {
				for j := range c.txns[i].Ops {
					if op := &c.txns[i].Ops[j]; op.Append == 0 {
						f(i, op)
					}
				}
			}
		}
	}
	each(func(i int, op *Op) {
		if c.txns[i].Outcome == Committed && len(op.Read) > len(c.order[op.Key]) {
			c.order[op.Key] = op.Read
		}
	})
	each(func(i int, op *Op) {
		if c.txns[i].Outcome != Committed {
			return
		}
		if long := c.order[op.Key]; !slices.Equal(op.Read, long[:len(op.Read)]) {
			c.report("incompatible order", "%s was read as %v and as %v", op.Key, op.Read, long)
		}
	})
	for key, list := range c.order {
		seen := map[int64]bool{}
		for _, v := range list {
			if seen[v] {
				c.report("duplicate", "%d is twice in %s", v, key)
			}
			seen[v] = true
		}
	}
}

// reads adds what follows from reads.
func (c *checker) reads() {
	for i, t := range c.txns {
		if t.Outcome != Committed {
			continue
		}
		mine := map[string][]int64{}
		for _, op := range t.Ops {
			if op.Append != 0 {
				mine[op.Key] = append(mine[op.Key], op.Append)
				continue
			}
			own := mine[op.Key]
			if len(own) > len(op.Read) || !slices.Equal(own, op.Read[len(op.Read)-len(own):]) {
				c.report("internal", "transaction %d appended %v to %s and then read %v", i, own, op.Key, op.Read)
				continue
			}
			c.read(i, op.Key, op.Read[:len(op.Read)-len(own)])
		}
	}
}

// read adds what follows from one read, without what the transaction itself had appended.
func (c *checker) read(i int, key string, list []int64) {
	for _, v := range list {
		w, ok := c.writer[key][v]
		switch {
		case !ok:
			c.report("garbage", "transaction %d read %d in %s, which nobody wrote", i, v, key)
			return
		case c.txns[w].Outcome == Aborted:
			c.report("G1a", "transaction %d read %d in %s, which the aborted transaction %d wrote", i, v, key, w)
			return
		}
	}
	if n := len(list); n > 0 {
		w := c.writer[key][list[n-1]]
		if last := c.lastAppend(w, key); last != list[n-1] && w != i {
			c.report("G1b", "transaction %d read %s as it was within transaction %d", i, key, w)
		}
		c.add(w, i, wr)
	}
	if long := c.order[key]; len(long) > len(list) {
		if w, ok := c.writer[key][long[len(list)]]; ok {
			c.add(i, w, rw)
		}
	}
}

func (c *checker) lastAppend(i int, key string) (last int64) {
	for _, op := range c.txns[i].Ops {
		if op.Key == key && op.Append != 0 {
			last = op.Append
		}
	}
	return last
}

// writes adds the order of writes, and looks for those that are gone.
func (c *checker) writes() {
	for key, list := range c.order {
		for i := 1; i < len(list); i++ {
			a, okA := c.writer[key][list[i-1]]
			b, okB := c.writer[key][list[i]]
			if okA && okB {
				c.add(a, b, ww)
			}
		}
	}
	for i, t := range c.txns {
		if t.Outcome != Committed {
			continue
		}
		for _, op := range t.Ops {
			if op.Append != 0 && !slices.Contains(c.order[op.Key], op.Append) {
				c.report("lost append", "transaction %d committed %d to %s, and no read has it", i, op.Append, op.Key)
			}
		}
	}
}

// times adds the order in time: who ended before another one began comes first. Only the latest ones are linked, from
// which the rest follows.
func (c *checker) times() {
	type event struct {
		at  int64
		end bool
		txn int
	}
	var events []event
	for i, t := range c.txns {
		if t.Outcome == Committed {
			events = append(events, event{t.Begin, false, i}, event{t.End, true, i})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	var front []int // ended, and not followed by another one that has ended
	for _, e := range events {
		if !e.end {
			for _, f := range front {
				c.add(f, e.txn, rt)
			}
			continue
		}
		front = slices.DeleteFunc(front, func(f int) bool { return c.out[f][e.txn]&rt != 0 })
		front = append(front, e.txn)
	}
}

// cycles reports one cycle for each group of transactions that come before each other.
func (c *checker) cycles() {
	done := map[int]bool{}
	for _, kind := range []struct {
		name  string
		edges edge
		one   edge // an edge that the cycle has exactly once; 0: any cycle of edges
	}{
		{"G0", ww, 0}, {"G1c", ww | wr, 0}, {"G-single", ww | wr, rw}, {"G2", ww | wr | rw, 0},
		{"G0-realtime", ww | rt, 0}, {"G1c-realtime", ww | wr | rt, 0}, {"G-single-realtime", ww | wr | rt, rw}, {"G2-realtime", ww | wr | rw | rt, 0},
	} {
		for _, group := range c.groups(kind.edges | kind.one) {
			if slices.ContainsFunc(group, func(t int) bool { return done[t] }) {
				continue
			}
			cycle := c.cycle(group, kind.edges, kind.one)
			if cycle == nil {
				continue
			}
			for _, t := range group {
				done[t] = true
			}
			a := Anomaly{Kind: kind.name, Txns: cycle}
			for i, t := range cycle {
				a.Text += fmt.Sprintf("%d -%v-> ", t, c.some(c.out[t][cycle[(i+1)%len(cycle)]], kind.edges|kind.one))
			}
			a.Text += fmt.Sprint(cycle[0])
			c.found = append(c.found, a)
		}
	}
}

// some returns one of the edges in e, for printing.
func (c *checker) some(e, of edge) edge {
	for _, x := range []edge{ww, wr, rw, rt} {
		if e&of&x != 0 {
			return x
		}
	}
	return 0
}

// cycle returns a shortest cycle within a group: of edges, or with one edge that is of the kind one.
func (c *checker) cycle(group []int, edges, one edge) []int {
	within := map[int]bool{}
	for _, t := range group {
		within[t] = true
	}
	var best []int
	for _, from := range group {
		for to, e := range c.out[from] {
			if !within[to] || one != 0 && e&one == 0 || one == 0 && e&edges == 0 {
				continue
			}
			if path := c.path(to, from, edges, within); path != nil && (best == nil || len(path) < len(best)) {
				best = path
			}
		}
		if len(best) == 2 {
			break
		}
	}
	return best
}

// path returns a shortest way, which ends before the transaction that leads back to its beginning: from, …, to.
func (c *checker) path(from, to int, edges edge, within map[int]bool) []int {
	before := map[int]int{from: from}
	for next := []int{from}; len(next) > 0; {
		t := next[0]
		next = next[1:]
		if t == to {
			path := []int{to}
			for t != from {
				t = before[t]
				path = append(path, t)
			}
			slices.Reverse(path)
			return path
		}
		for n, e := range c.out[t] {
			if _, seen := before[n]; !seen && within[n] && e&edges != 0 {
				before[n] = t
				next = append(next, n)
			}
		}
	}
	return nil
}

// groups returns the strongly connected components of more than one transaction (Tarjan, 1972), without recursion.
func (c *checker) groups(edges edge) (groups [][]int) {
	n := len(c.txns)
	index, low := make([]int, n), make([]int, n)
	on := make([]bool, n)
	var stack []int
	count := 0
	type frame struct {
		t    int
		next []int
	}
	open := func(t int) frame {
		count++
		index[t], low[t] = count, count
		stack, on[t] = append(stack, t), true
		f := frame{t: t}
		for to, e := range c.out[t] {
			if e&edges != 0 {
				f.next = append(f.next, to)
			}
		}
		return f
	}
	for start := range n {
		if index[start] != 0 {
			continue
		}
		for calls := []frame{open(start)}; len(calls) > 0; {
			f := &calls[len(calls)-1]
			if len(f.next) > 0 {
				to := f.next[0]
				f.next = f.next[1:]
				if index[to] == 0 {
					calls = append(calls, open(to))
				} else if on[to] {
					low[f.t] = min(low[f.t], index[to])
				}
				continue
			}
			t := f.t
			calls = calls[:len(calls)-1]
			if len(calls) > 0 {
				up := calls[len(calls)-1].t
				low[up] = min(low[up], low[t])
			}
			if low[t] == index[t] {
				i := slices.Index(stack, t)
				if group := slices.Clone(stack[i:]); len(group) > 1 {
					groups = append(groups, group)
				}
				for _, s := range stack[i:] {
					on[s] = false
				}
				stack = stack[:i]
			}
		}
	}
	return groups
}
