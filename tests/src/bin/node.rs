//! The program `crosstie` under a name of its own, built with the tests so that they always run the present code.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    crosstie::cli::main()
}
