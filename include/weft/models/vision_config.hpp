#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/models/encoder_config.hpp>

namespace weft::inline v0 {

/// What the reference implementation calls the modules whose outputs taps see; empty for one that a family does not
/// have. The characters must outlive the model.
struct TowerModules {
  std::string_view embedding = {};  ///< what enters the first layer
  std::string_view layer = {};
  std::string_view attention = "self_attn";  ///< inside a layer, before the residual, as mlp
  std::string_view mlp = "mlp";
  std::string_view norm = {};    ///< what leaves the last layer, normalised
  std::string_view pooled = {};  ///< one vector for each image or text
};

/// A stack of layers of the form EncoderForm::pre_norm, for patches of images or for words.
struct TowerConfig {
  std::size_t hidden = 0;
  std::size_t intermediate = 0;
  std::size_t layers = 0;  ///< 0: the model has no such tower
  std::size_t heads = 0;
  std::size_t head_dim = 0;
  float norm_eps = 0.f;
  Activation activation = Activation::gelu;
  TowerModules modules{};

  std::size_t query() const noexcept { return heads * head_dim; }
  float score_scale() const noexcept { return 1.f / std::sqrt(static_cast<float>(head_dim)); }
};

/// How the tokens of an image become one vector.
enum class ImagePooling : unsigned char {
  none,
  dense,      ///< f(W x + b) of the first token, as in ViT
  norm,       ///< the norm of the first token, which is the only one to be normalised, as in CLIP
  attention,  ///< what a learned token sees, as in SigLIP
};

/// Which token stands for a text.
enum class TextPooling : unsigned char {
  last,        ///< the last one, padding or not, as in SigLIP
  end,         ///< the first end-of-sequence token, as in CLIP
  largest_id,  ///< the first of the largest id, as in CLIP with configs of before that
};

/// What the logits of an image and texts are, and so what probabilities are.
enum class TextMatch : unsigned char {
  softmax,  ///< scale * cosine: one of the texts fits, as in CLIP
  sigmoid,  ///< scale * cosine + bias: every text fits or not, as in SigLIP
};

/// What makes the logits of classes.
enum class ImageClassifier : unsigned char {
  none,
  first_token,   ///< W x + b of the first token, as in ViT
  with_teacher,  ///< the mean of that and of W' x' + b' of the distillation token, as in DeiT
  mean,          ///< W x + b of the mean of all patches, as in CLIP and SigLIP
};

/// The sizes and choices of a model that sees images, texts, or both: it has a tower for each.
struct VisionConfig {
  static constexpr std::size_t layers = 0;  ///< each tower has its own

  // Images.
  TowerConfig image{};
  std::size_t channels = 3;
  std::size_t image_height = 0, image_width = 0;
  std::size_t patch_height = 0, patch_width = 0;
  bool class_token = true;          ///< before the patches
  bool distillation_token = false;  ///< after the class token
  bool patch_bias = true;
  bool attention_bias = true;  ///< of queries, keys and values of the image tower
  bool input_norm = false;     ///< what enters the first layer of the image tower is normalised
  ImagePooling pooling = ImagePooling::dense;
  std::size_t pooled = 0;  ///< width of what the pooler makes
  HeadActivation pooler_activation = HeadActivation::tanh;
  ImageClassifier classifier = ImageClassifier::none;
  std::size_t classes = 2;
  std::vector<std::string> labels{};  ///< (classes) their names, where the config has them

  // Texts.
  TowerConfig text{};
  std::size_t vocab = 0;
  std::size_t context = 0;  ///< tokens of a text
  bool causal = true;       ///< a token sees those before it alone
  TextPooling text_pooling = TextPooling::end;
  TokenId end_token = 0;  ///< TextPooling::end

  // Both.
  std::size_t projection = 0;     ///< width of what images and texts become
  bool image_projection = false;  ///< what is pooled of an image is projected; if not, it is what an image becomes
  bool text_projection = true;    ///< the same of a text
  TextMatch match = TextMatch::softmax;

  bool has_images() const noexcept { return image.layers != 0; }
  bool has_text() const noexcept { return text.layers != 0; }
  std::size_t patches() const noexcept { return (image_height / patch_height) * (image_width / patch_width); }
  std::size_t patch_size() const noexcept { return channels * patch_height * patch_width; }
  /// Tokens before the patches, and all of an image.
  std::size_t first_patch() const noexcept { return std::size_t{class_token} + std::size_t{distillation_token}; }
  std::size_t tokens() const noexcept { return first_patch() + patches(); }
};

}  // namespace weft::inline v0
