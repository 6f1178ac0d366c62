// lib/engine/stream_commands.h
//
// What the create flows share: public requests as commands, and a pause.

#pragma once

#include <cstdint>
#include <string_view>

#include "lib/engine/ask.h"
#include "lib/group/replica.h"
#include "lib/io/loop.h"
#include "lib/stream/command.h"
#include "ursula/engine.h"

namespace ursula::engine {

// Without payload.
stream::CreateStream StreamCommand(const CreateRequest& request, stream::BucketStamp bucket);

// Of a command that makes a stream, or reserves its name: else null.
const stream::CreateStream* CreationIn(const stream::Command::Body& body);

bool MovesFences(const stream::Command::Body& body);

// Of a create that has waited for a fence: whoever asks looks its bucket up again.
stream::Reply StillFenced();

stream::Framing FramingOf(std::string_view content_type);

// What a create would meet under its name in this group, as applied: a reply without an incarnation
// says that there is nothing. A fork's point is resolved if only that can tell whether it is the
// one that is there, and a stream that is due expires first. On the replica's loop; looks behind
// its barrier.
void CompareAt(group::Replica* replica, ask::Compare ask, group::ProposeDone done);

}  // namespace ursula::engine
