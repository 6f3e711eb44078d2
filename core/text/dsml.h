// The markers of DeepSeek-V3.2's chat format. Those of one word are added tokens of its tokenizer.
#ifndef MODELC_CORE_TEXT_DSML_H_
#define MODELC_CORE_TEXT_DSML_H_

#include <string_view>

namespace modelc::dsml {

inline constexpr std::string_view kBegin = "<｜begin▁of▁sentence｜>";
inline constexpr std::string_view kEnd = "<｜end▁of▁sentence｜>";
inline constexpr std::string_view kUser = "<｜User｜>";
inline constexpr std::string_view kAssistant = "<｜Assistant｜>";
inline constexpr std::string_view kThink = "<think>";
inline constexpr std::string_view kThinkEnd = "</think>";
inline constexpr std::string_view kDsml = "｜DSML｜";

}  // namespace modelc::dsml

#endif  // MODELC_CORE_TEXT_DSML_H_
