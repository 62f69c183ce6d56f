//! What SBAM masks in a picture with one bright square, and at which ratio.
//!
//! ```text
//! cargo run --release --example mask_tokens
//! ```

use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use sbam_model::{Mae, Masking, Preset, RatioMode, SalienceSource, patchify};

fn main() -> Result<()> {
    let device = Device::flex();
    let config = Preset::Mini.config();
    let model = Mae::new(&config, 0, &device)?;
    let [height, width] = config.image_size.height_width();

    // A dark picture with a bright square, [1, height, width, 3].
    let mut pixels = vec![-1.0f32; height * width * 3];
    for y in 16..56 {
        pixels[(y * width + 48) * 3..(y * width + 80) * 3].fill(2.0);
    }
    let image = Tensor::<4>::from_data(TensorData::new(pixels, [1, height, width, 3]), &device);
    let patches = patchify(image, config.patch_size);

    // The salience of an untrained encoder's last block, and the mask it gives with a little noise.
    let salience = model
        .encoder()
        .salience(patches, SalienceSource::Encoder, config.depth);
    let salience: Vec<f32> = salience.into_data().try_into_vec()?;
    let masking = Masking {
        ratio: 0.5,
        ratio_var: 0.1,
        ratio_mode: RatioMode::PerSample,
        delta: 0.25,
        noise: 0.05,
    };
    // A real run draws these from the sample's own generator.
    let uniforms: Vec<f32> = (0..config.tokens())
        .map(|token| (token * 37 % 101) as f32 / 101.0)
        .collect();
    let sample = &masking.salient(vec![salience], &[uniforms], &[1.0])[0];

    println!(
        "mask ratio {:.3}, {} of {} tokens kept",
        sample.mask_ratio,
        sample.mask.n_keep(),
        config.tokens()
    );
    for row in sample.mask.masked().chunks(config.grid()[1]) {
        let line: String = row
            .iter()
            .map(|masked| if *masked { "██" } else { "··" })
            .collect();
        println!("{line}");
    }
    Ok(())
}
