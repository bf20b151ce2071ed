using Fairlead.Providers;

namespace Fairlead.Catalogue;

/// <summary>
/// A model that the embedding program brings along. All registered ones are added to every catalogue that is built, beside those of the
/// configuration; they do not change while the program runs. Thread-safe.
/// </summary>
internal interface IModelSource
{
    RegisteredModel Model { get; }
}

/// <summary>A model from code.</summary>
/// <param name="Name">The name clients send.</param>
/// <param name="Config">
/// As if it stood in the configuration. Its one deployment names <paramref name="Provider"/>, which the catalogue knows by its name from
/// here on, so that models of the configuration can name it in their deployments too.
/// </param>
/// <param name="Provider">The adapter; its name is the model's.</param>
internal sealed record RegisteredModel(string Name, ModelConfig Config, Provider Provider);
