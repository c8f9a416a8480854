// zo on NVIDIA GPUs: zo::cuda::on(stream). Optional: link zo::cuda; no other header of zo includes
// it. Plain C++ files may use all but lazy objectives and laws of their own, which are device code.
#pragma once

#include "zo/cuda/boundary.hpp"     // IWYU pragma: export
#include "zo/cuda/device_code.hpp"  // IWYU pragma: export
#include "zo/cuda/direction.hpp"    // IWYU pragma: export
#include "zo/cuda/error.hpp"        // IWYU pragma: export
#include "zo/cuda/estimate.hpp"     // IWYU pragma: export
#include "zo/cuda/jacobian.hpp"     // IWYU pragma: export
#include "zo/cuda/memory.hpp"       // IWYU pragma: export
#include "zo/cuda/minimize.hpp"     // IWYU pragma: export
#include "zo/cuda/objective.hpp"    // IWYU pragma: export
#include "zo/cuda/optimizer.hpp"    // IWYU pragma: export
#include "zo/cuda/policy.hpp"       // IWYU pragma: export
#include "zo/cuda/pullback.hpp"     // IWYU pragma: export
#include "zo/cuda/workspace.hpp"    // IWYU pragma: export
#include "zo/zo.hpp"                // IWYU pragma: export
#if ZO_DEVICE_CODE
#include "zo/cuda/law_kernels.hpp"  // IWYU pragma: export
#include "zo/cuda/lazy.hpp"         // IWYU pragma: export
#endif
