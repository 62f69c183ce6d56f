use sbam_augment::{CropBox, Layout, Normalize, Resizer, View};

use crate::config::LoaderConfig;
use crate::error::Result;
use crate::jpeg::Part;

/// Makes a batch's image of decoded pixels: crop, resize, flip and colours, then what the output asks for.
#[derive(Debug)]
pub(crate) struct Renderer {
    resizer: Resizer,
    out_width: u32,
    out_height: u32,
    normalize: Option<(Normalize, Layout)>,
    /// An image before it is normalised; empty if it is not.
    rgb: Vec<u8>,
}

impl Renderer {
    pub(crate) fn new(config: &LoaderConfig) -> Result<Self> {
        let normalize = config.normalize()?;
        let rgb_bytes = normalize.as_ref().map_or(0, |_| config.image_values());
        Ok(Self {
            resizer: Resizer::new(),
            out_width: config.out_width,
            out_height: config.out_height,
            normalize,
            rgb: vec![0; rgb_bytes],
        })
    }

    /// Writes `view`, a view of the photograph that `part` is a part of, into `out`.
    pub(crate) fn render(&mut self, part: &Part<'_>, view: &View, out: &mut [u8]) -> Result<()> {
        let in_part = View {
            crop: CropBox {
                x: view.crop.x - part.place.x,
                y: view.crop.y - part.place.y,
                ..view.crop
            },
            ..*view
        };
        let rgb = if self.normalize.is_some() {
            &mut self.rgb[..]
        } else {
            &mut *out
        };
        self.resizer.render(
            part.rgb.pixels,
            part.rgb.width,
            part.rgb.height,
            &in_part,
            rgb,
            self.out_width,
            self.out_height,
        )?;
        if let Some((normalize, layout)) = &self.normalize {
            let values = bytemuck::try_cast_slice_mut(out)
                .expect("batch buffers are aligned and an image is whole numbers");
            normalize.apply(&self.rgb, *layout, values)?;
        }
        Ok(())
    }
}
