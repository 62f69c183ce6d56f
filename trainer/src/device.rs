//! Devices by name.

use anyhow::{Result, bail};
use burn::tensor::Device;

/// The device of a name: `cpu`, and with the features of the same name `cuda`, `cuda:1`, `wgpu`, `vulkan`.
///
/// # Errors
/// If there is no such name, or this binary was built without its feature.
pub(crate) fn device_of_name(name: &str) -> Result<Device> {
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => match index.parse::<usize>() {
            Ok(index) => (kind, index),
            Err(_) => bail!("--device {name}: the part behind the colon is a device number"),
        },
        None => (name, 0),
    };
    match kind {
        "cpu" if index == 0 => Ok(Device::flex()),
        "cuda" => cuda(index),
        "wgpu" => wgpu(index),
        "vulkan" => vulkan(index),
        _ => bail!("--device {name}: no such device; choose cpu, cuda, cuda:1 …, wgpu or vulkan"),
    }
}

#[cfg(any(feature = "cuda", feature = "cuda-nofusion"))]
fn cuda(index: usize) -> Result<Device> {
    let found = burn_cuda_devices();
    if index >= found {
        bail!("--device cuda:{index}: {found} CUDA devices were found");
    }
    Ok(Device::cuda(index))
}

#[cfg(any(feature = "cuda", feature = "cuda-nofusion"))]
fn burn_cuda_devices() -> usize {
    use burn::tensor::DeviceType;
    Device::enumerate(DeviceType::Cuda).into_iter().count()
}

#[cfg(not(any(feature = "cuda", feature = "cuda-nofusion")))]
fn cuda(_index: usize) -> Result<Device> {
    not_built("cuda")
}

#[cfg(feature = "wgpu")]
fn wgpu(index: usize) -> Result<Device> {
    Ok(Device::wgpu(gpu_kind(index)))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu(_index: usize) -> Result<Device> {
    not_built("wgpu")
}

#[cfg(feature = "vulkan")]
fn vulkan(index: usize) -> Result<Device> {
    Ok(Device::vulkan(gpu_kind(index)))
}

#[cfg(not(feature = "vulkan"))]
fn vulkan(_index: usize) -> Result<Device> {
    not_built("vulkan")
}

#[cfg(any(feature = "wgpu", feature = "vulkan"))]
fn gpu_kind(index: usize) -> burn::tensor::DeviceKind {
    use burn::tensor::DeviceKind;
    if index == 0 {
        DeviceKind::DefaultDevice
    } else {
        DeviceKind::DiscreteGpu(index)
    }
}

#[cfg(not(all(
    any(feature = "cuda", feature = "cuda-nofusion"),
    feature = "wgpu",
    feature = "vulkan"
)))]
fn not_built(feature: &str) -> Result<Device> {
    bail!(
        "this binary was built without {feature}; build it with `cargo build --release --features {feature}`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_say_what_there_is() {
        assert!(device_of_name("cpu").is_ok());
        for wrong in ["tpu", "cuda:x", "cpu:1"] {
            assert!(device_of_name(wrong).is_err(), "{wrong}");
        }
    }
}
