//! Several sets of weights in one directory: they must be the same model.

use super::{NAMES, Weights, unread};
use crate::ModelError;
use crate::location::Location;

impl Weights {
    /// Refuses a directory in which another set of weights holds other values than this one, of which `transformers`
    /// (by its release, and by what is installed beside it) or their owner may mean either.
    ///
    /// Of every tensor the first and last few hundred values are compared, which finds every other training, merge
    /// and precision, and costs a page a tensor instead of reading the model twice.
    pub(super) fn refuse_unlike_alternatives(&mut self, directory: &Location) -> Result<(), ModelError> {
        let chosen = NAMES.into_iter().find(|name| directory.join(name).exists());
        let others = NAMES.into_iter().skip_while(|name| Some(*name) != chosen).skip(1);
        for other in others.map(|name| directory.join(name)).filter(Location::exists) {
            match Weights::at(&other) {
                Ok(weights) => match self.difference(&weights) {
                    Some(tensor) => {
                        let names = [chosen.unwrap_or_default().to_owned(), name(&other)];
                        return Err(ModelError::UnlikeWeights { path: directory.path(), names, tensor });
                    }
                    None => continue,
                },
                // What is not there, or a pointer to it, no program loads.
                Err(ModelError::LfsPointer { .. }) => {}
                Err(ModelError::ReadModel { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.notes.push(format!("{} beside it was not compared: {error}", name(&other)));
                }
            }
        }
        Ok(())
    }

    /// Returns the first tensor of the encoder that is another one in `other`.
    fn difference(&self, other: &Weights) -> Option<String> {
        let is_read = |name: &&String| unread::harmless(name).is_none();
        let names = self.tensors.keys().chain(other.tensors.keys()).filter(is_read);
        names.into_iter().find(|name| self.ends(name) != other.ends(name)).cloned()
    }

    /// Returns a tensor's shape with the bits of its first and last values.
    fn ends(&self, name: &str) -> Option<(&[usize], Vec<u32>)> {
        let place = self.tensors.get(name)?;
        Some((&place.stored.shape, self.files[place.file].ends(&place.stored)))
    }
}

fn name(location: &Location) -> String {
    location.path().file_name().unwrap_or_default().to_string_lossy().into_owned()
}
