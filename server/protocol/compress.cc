#include "server/protocol/compress.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/protocol/entity_tag.h"

namespace ursula::protocol {
namespace {

// The fastest levels: the core that compresses serves everyone else too.
constexpr int kGzipLevel = 1;
constexpr int kZstdLevel = 1;
constexpr std::size_t kBlockBytes = 64 << 10;

// Both return an empty string when the result would reach `bytes_max`, or on failure.

class Deflater {
 public:
  Deflater() {
    constexpr int kGzipWindowBits = 15 + 16;
    constexpr int kMemoryLevel = 8;
    ok_ = deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, kGzipWindowBits, kMemoryLevel,
                       Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~Deflater() {
    if (ok_) deflateEnd(&stream_);
  }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  bool ok() const { return ok_; }

  // Appends to `out` while it stays below `bytes_max`. False: it would not.
  bool Add(std::string_view data, bool last, std::size_t bytes_max, std::string* out) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream_.avail_in = static_cast<uInt>(data.size());
    char block[kBlockBytes];
    for (;;) {
      stream_.next_out = reinterpret_cast<Bytef*>(block);
      stream_.avail_out = sizeof(block);
      int result = deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
      if (result == Z_STREAM_ERROR) return false;
      out->append(block, sizeof(block) - stream_.avail_out);
      if (out->size() >= bytes_max) return false;
      if (stream_.avail_out != 0) return true;
    }
  }

 private:
  z_stream stream_ = {};
  bool ok_ = false;
};

std::string Gzip(const std::vector<Bytes>& parts, std::size_t bytes_max) {
  Deflater deflater;
  if (!deflater.ok()) return {};
  std::string out;
  for (const Bytes& part : parts) {
    if (!deflater.Add(part.view(), false, bytes_max, &out)) return {};
  }
  if (!deflater.Add({}, true, bytes_max, &out)) return {};
  return out;
}

std::string Zstd(const std::vector<Bytes>& parts, std::size_t bytes_max) {
  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context(ZSTD_createCCtx());
  if (context == nullptr) return {};
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kZstdLevel);
  std::string out(bytes_max, '\0');
  ZSTD_outBuffer output{out.data(), out.size(), 0};
  for (std::size_t i = 0; i <= parts.size(); ++i) {
    bool last = i == parts.size();
    std::string_view data = last ? std::string_view() : parts[i].view();
    ZSTD_inBuffer input{data.data(), data.size(), 0};
    std::size_t left = 0;
    do {
      if (output.pos == output.size) return {};
      left =
          ZSTD_compressStream2(context.get(), &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left)) return {};
    } while (last ? left != 0 : input.pos < input.size);
  }
  if (output.pos >= bytes_max) return {};
  out.resize(output.pos);
  return out;
}

bool IsCompressedType(std::string_view content_type) {
  constexpr std::string_view kCompressed[] = {"application/zip", "application/gzip",
                                              "application/zstd", "application/x-gzip"};
  std::string media = MediaType(content_type);
  if (media.starts_with("image/") && media != "image/svg+xml") return true;
  return media.starts_with("video/") || media.starts_with("audio/") ||
         std::find(std::begin(kCompressed), std::end(kCompressed), media) != std::end(kCompressed);
}

}  // namespace

void Compress(Response* response, ContentCoding coding, const ProtocolConfig& config) {
  if (coding == ContentCoding::kIdentity || response->status != 200) return;
  std::size_t plain_bytes = response->body_bytes();
  if (plain_bytes < std::max<std::size_t>(config.compress_bytes_min, 1)) return;
  const std::string* type = response->headers.Find("Content-Type");
  if (type == nullptr || IsCompressedType(*type)) return;
  std::string body = coding == ContentCoding::kGzip ? Gzip(response->body, plain_bytes)
                                                    : Zstd(response->body, plain_bytes);
  if (body.empty()) return;
  response->body.clear();
  response->body.push_back(Bytes::Take(std::move(body)));
  response->headers.Set("Content-Encoding", ContentCodingName(coding));
  if (const std::string* tag = response->headers.Find("ETag")) {
    response->headers.Set("ETag", CodedEntityTag(*tag, coding));
  }
}

}  // namespace ursula::protocol
