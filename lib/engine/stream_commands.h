// lib/engine/stream_commands.h
//
// What the create flows share: public requests as commands, and a pause.

#pragma once

#include <cstdint>
#include <string_view>

#include "lib/io/loop.h"
#include "lib/stream/command.h"
#include "ursula/engine.h"

namespace ursula::engine {

// Without payload.
stream::CreateStream StreamCommand(const CreateRequest& request, stream::Incarnation bucket);

stream::Framing FramingOf(std::string_view content_type);

// Runs `function` on this loop after `delay_ns`. Loop thread only.
void RunLater(io::Loop* loop, uint64_t delay_ns, Function<void()> function);

}  // namespace ursula::engine
