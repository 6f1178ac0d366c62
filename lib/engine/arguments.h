// lib/engine/arguments.h
//
// What a caller may ask for: the rules of ursula/types.h and ursula/engine.h, each kInvalidArgument
// with a sentence where it is broken. What gets past here can be written to the log and read back.

#pragma once

#include <span>
#include <string_view>

#include "ursula/engine.h"

namespace ursula::engine {

Status CheckBucket(std::string_view bucket);
Status CheckStream(const StreamId& stream);
Status Check(const Precondition& condition);
Status Check(const ListRequest& request);
// Each is one JSON value's source text in UTF-8, without raw CR or LF, nested 512 deep at most.
Status CheckJson(std::span<const Bytes> messages);
Status Check(const CreateRequest& request);
Status Check(const DeleteRequest& request);
Status Check(const AppendRequest& request);
Status Check(const HeadRequest& request);
Status Check(const ReadRequest& request);
Status Check(const FollowRequest& request);

}  // namespace ursula::engine
