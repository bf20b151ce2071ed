using Fairlead.Catalogue;
using Fairlead.Pipeline;

namespace Fairlead.Access;

/// <summary>
/// Warns about models of a key's list that the catalogue does not have. They are not refused: the list may be written before the model is
/// configured, and a key must stay editable when a model leaves the configuration. Until the model exists, naming it grants nothing.
/// </summary>
internal sealed class ModelWarnings(ICatalogue? catalogue)
{
    public IReadOnlyList<CallWarning> Of(IReadOnlyList<string>? models)
    {
        if (models is null || catalogue?.Current is not { } snapshot) return [];
        return [.. models.Where(model => snapshot.Find(model) is null)
            .Select(model => new CallWarning("model_unknown",
                $"The model '{model}' is not in the catalogue; the key may use it as soon as it is."))];
    }
}
