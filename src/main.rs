use clap::Parser;
fn main() -> std::process::ExitCode {
    let cli = matou::cli::Cli::parse();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match rt.block_on(cli.run()) { Ok(c) => c, Err(e) => { eprintln!("matou: {e:#}"); matou::cli::Exit::of(&e).into() } }
}
