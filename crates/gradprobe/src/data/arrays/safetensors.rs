//! Safetensors.

use super::{Array, ElementType, tensor};
use ::safetensors::{Dtype, SafeTensorError, SafeTensors};

pub(super) fn read(bytes: &[u8]) -> Result<Vec<Array>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| match error {
        SafeTensorError::InvalidOffset(name) => format!(
            "`{}` lies where another tensor does, or outside the file",
            name.escape_debug()
        ),
        SafeTensorError::TensorInvalidInfo => "a tensor's shape does not fit its bytes".into(),
        SafeTensorError::MetadataIncompleteBuffer => {
            "its tensors are not the rest of the file: it is cut off, or has more".into()
        }
        _ => "it is none of .npy, .npz and .safetensors, or it is cut off".to_owned(),
    })?;
    let mut arrays = Vec::new();
    for (name, view) in file.iter() {
        let what = format!("`{}`", name.escape_debug());
        let element = element(view.dtype()).ok_or_else(|| {
            format!(
                "{what} has elements of `{}`, which is not read",
                view.dtype()
            )
        })?;
        let tensor = tensor(&what, element, view.shape().to_vec(), view.data())?;
        arrays.push(Array {
            name: name.to_owned(),
            tensor,
        });
    }
    arrays.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(arrays)
}

fn element(dtype: Dtype) -> Option<ElementType> {
    Some(match dtype {
        Dtype::F32 => ElementType::F32,
        Dtype::F64 => ElementType::F64,
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::Bf16,
        Dtype::I8 => ElementType::I8,
        Dtype::I16 => ElementType::I16,
        Dtype::I32 => ElementType::I32,
        Dtype::I64 => ElementType::I64,
        Dtype::U8 => ElementType::U8,
        Dtype::U16 => ElementType::U16,
        Dtype::U32 => ElementType::U32,
        Dtype::U64 => ElementType::U64,
        Dtype::BOOL => ElementType::Bool,
        _ => return None,
    })
}
