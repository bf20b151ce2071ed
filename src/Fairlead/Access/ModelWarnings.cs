using Fairlead.Catalogue;
using Fairlead.Pipeline;

namespace Fairlead.Access;

/// <summary>
/// Says which models of a key's list the catalogue does not have. No refusal: the list may be written before the model is
/// configured, and a model that leaves the configuration must not make its keys uneditable. Until it is there, naming it grants nothing.
/// </summary>
internal sealed class ModelWarnings(ICatalogue? catalogue)
{
    public IReadOnlyList<CallWarning> Of(IReadOnlyList<string>? models)
    {
        if (models is null || catalogue?.Current is not { } snapshot) return [];
        return [.. models.Where(model => snapshot.Find(model) is null)
            .Select(model => new CallWarning("model_unknown", $"The model '{model}' is not in the catalogue now; the key may use it once it is."))];
    }
}
