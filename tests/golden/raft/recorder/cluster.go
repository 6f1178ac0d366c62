package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// stabilizeRoundsMax is far above what ends by itself; some groups answer each other for ever.
const stabilizeRoundsMax = 200

// node is one replica of the reference over a log in memory, with what waits for its threads.
type node struct {
	*raft.RawNode
	config  *raft.Config
	log     *stateStorage
	appends []raftpb.Message
	applies []raftpb.Message
}

// stateStorage is a log whose newest snapshot is the state that the node has applied.
type stateStorage struct {
	*raft.MemoryStorage
	states []raftpb.Snapshot
}

func (s *stateStorage) Snapshot() (raftpb.Snapshot, error) { return s.states[len(s.states)-1], nil }

// persist makes durable what one append holds. An installed snapshot is the newest state, too.
func (s *stateStorage) persist(hard raftpb.HardState, snapshot raftpb.Snapshot, entries []raftpb.Entry) {
	if !raft.IsEmptyHardState(hard) {
		check(s.SetHardState(hard))
	}
	if !raft.IsEmptySnap(snapshot) {
		check(s.ApplySnapshot(snapshot))
		s.states = append(s.states, snapshot)
	}
	check(s.Append(entries))
}

func (s *stateStorage) bounds() (first, last uint64) {
	first, err := s.FirstIndex()
	check(err)
	last, err = s.LastIndex()
	check(err)
	return first, last
}

// cluster is nodes and the messages between them. What happens is written to out, in the words of
// the reference's own descriptions.
type cluster struct {
	nodes    []*node
	messages []raftpb.Message
	out      strings.Builder
	indent   string
	quiet    bool
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func quoted(data []byte) string { return fmt.Sprintf("%q", data) }

func (c *cluster) line(text string) {
	if c.quiet {
		return
	}
	for _, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		c.out.WriteString(c.indent + l + "\n")
	}
}

// A node's logger: warnings and errors are part of what is recorded.
func (c *cluster) Debug(...any)                   {}
func (c *cluster) Debugf(string, ...any)          {}
func (c *cluster) Info(...any)                    {}
func (c *cluster) Infof(string, ...any)           {}
func (c *cluster) Warning(v ...any)               { c.line("WARN " + fmt.Sprint(v...)) }
func (c *cluster) Warningf(f string, v ...any)    { c.line("WARN " + fmt.Sprintf(f, v...)) }
func (c *cluster) Error(v ...any)                 { c.line("ERROR " + fmt.Sprint(v...)) }
func (c *cluster) Errorf(f string, v ...any)      { c.line("ERROR " + fmt.Sprintf(f, v...)) }
func (c *cluster) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (c *cluster) Fatalf(f string, v ...any)      { panic(fmt.Sprintf(f, v...)) }
func (c *cluster) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (c *cluster) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }

// addNode makes a node from a configuration, and from a snapshot unless that is empty.
func (c *cluster) addNode(config raft.Config, snapshot raftpb.Snapshot) {
	n := &node{config: &config}
	n.log = &stateStorage{raft.NewMemoryStorage(), []raftpb.Snapshot{snapshot}}
	if !raft.IsEmptySnap(snapshot) {
		check(n.log.ApplySnapshot(snapshot))
	}
	config.ID = uint64(len(c.nodes) + 1)
	config.Storage = n.log
	config.Applied = snapshot.Metadata.Index
	config.Logger = c
	var err error
	n.RawNode, err = raft.NewRawNode(&config)
	check(err)
	c.nodes = append(c.nodes, n)
}

func (c *cluster) node(id uint64) *node { return c.nodes[id-1] }

func (c *cluster) ids() []uint64 {
	var ids []uint64
	for i := range c.nodes {
		ids = append(ids, uint64(i+1))
	}
	return ids
}

func (c *cluster) processReady(id uint64) {
	n := c.node(id)
	ready := n.Ready()
	c.line(raft.DescribeReady(ready, quoted))
	if !n.config.AsyncStorageWrites {
		n.log.persist(ready.HardState, ready.Snapshot, ready.Entries)
		c.apply(n, ready.CommittedEntries)
	}
	for _, m := range ready.Messages {
		switch m.To {
		case raft.LocalAppendThread:
			n.appends = append(n.appends, m)
		case raft.LocalApplyThread:
			n.applies = append(n.applies, m)
		default:
			c.messages = append(c.messages, m)
		}
	}
	if !n.config.AsyncStorageWrites {
		n.Advance(ready)
	}
}

// process takes the first message that waits for a thread, does its work, and sends the answers.
func (c *cluster) process(queue *[]raftpb.Message, work func(raftpb.Message)) {
	m := (*queue)[0]
	*queue = (*queue)[1:]
	answers := m.Responses
	m.Responses = nil
	c.line("Processing:")
	c.line(raft.DescribeMessage(m, quoted))
	work(m)
	c.line("Responses:")
	for _, answer := range answers {
		c.line(raft.DescribeMessage(answer, quoted))
	}
	c.messages = append(c.messages, answers...)
}

func (c *cluster) processAppend(id uint64) {
	n := c.node(id)
	c.process(&n.appends, func(m raftpb.Message) {
		var snapshot raftpb.Snapshot
		if m.Snapshot != nil {
			snapshot = *m.Snapshot
		}
		n.log.persist(raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}, snapshot, m.Entries)
	})
}

func (c *cluster) processApply(id uint64) {
	n := c.node(id)
	c.process(&n.applies, func(m raftpb.Message) { c.apply(n, m.Entries) })
}

// apply keeps the state after each entry: all that matters of it is where it is and the
// configuration there.
func (c *cluster) apply(n *node, entries []raftpb.Entry) {
	for _, entry := range entries {
		state := n.log.states[len(n.log.states)-1]
		state.Metadata.Index, state.Metadata.Term = entry.Index, entry.Term
		switch entry.Type {
		case raftpb.EntryConfChange:
			var change raftpb.ConfChange
			check(change.Unmarshal(entry.Data))
			state.Metadata.ConfState = *n.ApplyConfChange(change)
		case raftpb.EntryConfChangeV2:
			var change raftpb.ConfChangeV2
			check(change.Unmarshal(entry.Data))
			state.Metadata.ConfState = *n.ApplyConfChange(change)
		}
		n.log.states = append(n.log.states, state)
	}
}

func isLocal(m raftpb.Message) bool {
	return m.From == m.To || raft.IsLocalMsgTarget(m.From)
}

// deliver steps, or drops, the messages to a node of one kind; of every kind if it is negative. A
// node's messages to itself aren't dropped. Returns how many there were.
func (c *cluster) deliver(id uint64, kind raftpb.MessageType, drop bool) int {
	var taken, rest []raftpb.Message
	for _, m := range c.messages {
		if m.To == id && (kind < 0 || m.Type == kind) && !(drop && isLocal(m)) {
			taken = append(taken, m)
		} else {
			rest = append(rest, m)
		}
	}
	c.messages = rest
	for _, m := range taken {
		if drop {
			c.line("dropped: " + raft.DescribeMessage(m, quoted))
			continue
		}
		c.line(raft.DescribeMessage(m, quoted))
		if err := c.node(id).Step(m); err != nil {
			c.line(err.Error())
		}
	}
	return len(taken)
}

func (c *cluster) hasReady(id uint64) bool   { return c.node(id).HasReady() }
func (c *cluster) hasAppends(id uint64) bool { return len(c.node(id).appends) > 0 }
func (c *cluster) hasApplies(id uint64) bool { return len(c.node(id).applies) > 0 }
func (c *cluster) hasMessages(id uint64) bool {
	return slices.ContainsFunc(c.messages, func(m raftpb.Message) bool { return m.To == id })
}

// stabilize goes round in a fixed order until nothing is left to do for these nodes.
func (c *cluster) stabilize(ids []uint64) {
	work := []struct {
		heading string
		has     func(id uint64) bool
		do      func(id uint64)
	}{
		{"handling Ready", c.hasReady, c.processReady},
		{"receiving messages", c.hasMessages, func(id uint64) { c.deliver(id, -1, false) }},
		{"processing append thread", c.hasAppends, func(id uint64) {
			for c.hasAppends(id) {
				c.processAppend(id)
			}
		}},
		{"processing apply thread", c.hasApplies, func(id uint64) {
			for c.hasApplies(id) {
				c.processApply(id)
			}
		}},
	}
	for round, more := 0, true; more; round++ {
		if round == stabilizeRoundsMax {
			panic("it never comes to rest")
		}
		more = false
		for _, w := range work {
			for _, id := range ids {
				if !w.has(id) {
					continue
				}
				more = true
				c.line(fmt.Sprintf("> %d %s", id, w.heading))
				c.indented(func() { w.do(id) })
			}
		}
	}
}

func (c *cluster) indented(do func()) {
	c.indent = "  "
	defer func() { c.indent = "" }()
	do()
}

// restart is a crash: what storage doesn't hold is gone, and a new node starts over what it does.
func (c *cluster) restart(id uint64) {
	n := c.node(id)
	c.messages = slices.DeleteFunc(c.messages, func(m raftpb.Message) bool {
		return m.To == id && isLocal(m)
	})
	n.appends, n.applies = nil, nil
	first, last := n.log.bounds()
	n.config.Applied = first - 1
	var err error
	n.RawNode, err = raft.NewRawNode(n.config)
	check(err)
	hard, _, err := n.log.InitialState()
	check(err)
	c.line(fmt.Sprintf("restarted Term:%d Vote:%d Commit:%d first:%d last:%d",
		hard.Term, hard.Vote, hard.Commit, first, last))
}

func (c *cluster) printLog(id uint64) {
	first, last := c.node(id).log.bounds()
	if last < first {
		c.line(fmt.Sprintf("log is empty: first index=%d, last index=%d", first, last))
		return
	}
	entries, err := c.node(id).log.Entries(first, last+1, math.MaxUint64)
	check(err)
	c.line(raft.DescribeEntries(entries, quoted))
}
