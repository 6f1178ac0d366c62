// server/peer/channel_arguments.h
//
// How gRPC is set up on a peer's connection, the same at both ends.

#pragma once

#include <cstdint>

namespace ursula::peer {

// A peer that answers no ping for this long after such a pause is dead: noticed within 5 s.
inline constexpr int kPingPauseMs = 2000;
inline constexpr int kPingAnswerMs = 2500;
// Beside a message's payload: heads of its records.
inline constexpr uint64_t kMessageHeadBytesMax = 64 << 10;
inline constexpr int kMetadataBytesMax = 4096;
inline constexpr int kStreamsPerConnectionMax = 1024;

// `set(name, number)` for each. Arguments is grpc::ChannelArguments or ServerBuilder in disguise.
template <class Set>
void ForEachChannelArgument(uint64_t fragment_bytes_max, Set set) {
  const int message_bytes = static_cast<int>(fragment_bytes_max + kMessageHeadBytesMax);
  set("grpc.max_receive_message_length", message_bytes);
  set("grpc.max_send_message_length", message_bytes);
  set("grpc.max_metadata_size", kMetadataBytesMax);
  set("grpc.keepalive_time_ms", kPingPauseMs);
  set("grpc.keepalive_timeout_ms", kPingAnswerMs);
  set("grpc.keepalive_permit_without_calls", 1);
  // Pings are never too many.
  set("grpc.http2.max_pings_without_data", 0);
  set("grpc.http2.min_ping_interval_without_data_ms", kPingPauseMs / 4);
  set("grpc.http2.max_ping_strikes", 0);
  set("grpc.enable_retries", 0);
  set("grpc.enable_http_proxy", 0);
  set("grpc.use_local_subchannel_pool", 1);
}

}  // namespace ursula::peer
