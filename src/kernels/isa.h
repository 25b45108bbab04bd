// Which instruction sets the kernels use.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace moiety {

enum class Isa : uint8_t { portable, avx2, avxvnni, avx512, avx512vnni, avx512bf16, amx };

// Honours MOIETY_ISA = portable | avx2 | avxvnni | avx512 | avx512vnni | avx512bf16 | amx: kernels then go no higher. To be called once, before any kernel
// runs (tests call it again, between kernels); an unknown value, or one that this machine lacks, is a wrong command.
void choose_isa();

// The best that the machine has and choose_isa allows.
Isa current_isa();

// Those that this machine has, best first.
std::vector<Isa> runnable_isas();
std::string_view isa_name(Isa isa);
// Their names: "amx", "avx512bf16", "avx512vnni", "avx512", "avx2", "portable".
std::vector<std::string> available_isas();

}  // namespace moiety
