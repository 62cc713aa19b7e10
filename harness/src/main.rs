//! The `kfunc` command. Everything is in the library.

fn main() -> std::process::ExitCode {
    harness::cli::main()
}
