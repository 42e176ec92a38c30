//! Compiles the interface's protos without `protoc`. Only the client is generated: a fake runtime implements
//! `cri_api::Runtime` instead of a gRPC server, which spares the server's code.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(
        ["proto/runtime/v1/runtime.proto", "proto/runtime/v1/image.proto"],
        ["proto"],
    )?;
    println!("cargo:rerun-if-changed=proto");
    tonic_prost_build::configure()
        .build_server(false)
        .compile_fds(descriptors)?;
    Ok(())
}
