// The little that an application can see of an abseil of another version.

#pragma once

#define ABSL_LTS_RELEASE_VERSION 20990101
#define ABSL_NAMESPACE_BEGIN inline namespace lts_20990101 {
#define ABSL_NAMESPACE_END }
