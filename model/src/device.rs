use burn::tensor::Device;

/// Whether tensors of this device live in the host's memory and run on Flex.
pub fn is_cpu(device: &Device) -> bool {
    device.clone().inner() == Device::flex()
}
