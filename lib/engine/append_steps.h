// lib/engine/append_steps.h
//
// What an append goes through at the leader of its group, alone or as one of a batch. On the
// replica's loop.

#pragma once

#include "lib/engine/ask.h"
#include "lib/group/replica.h"
#include "lib/stream/reply.h"
#include "ursula/engine.h"

namespace ursula::engine {

// REQUIRES: Check (arguments.h) refuses nothing.
AppendWork WorkOf(AppendRequest request);

// An untyped append is proposed in the form of the stream that had the name then; another may have
// it when it is applied. Then nothing was, and the same may be proposed again.
bool MetOtherForm(AppendWork* work, const Result<stream::Reply>& reply);
inline constexpr int kReframedMax = 8;

// What the state as applied would refuse needn't go through the log, as long as nothing pending can
// change it; but a refusal is an answer too, and is given behind the barrier (decision 0004).
bool RefusedAsApplied(group::Replica& replica, AppendWork* work, stream::Reply* refusal);

// `done`, which may be called at once, and what is returned: as Replica::Propose; `work` isn't
// needed any more when this returns.
bool ProposeAppend(group::Replica& replica, AppendWork* work, group::ProposeDone done);

}  // namespace ursula::engine
