using Fairlead.Providers;

namespace Fairlead.Catalogue;

/// <summary>
/// A model that the embedding program provides. Every catalogue contains all registered models, beside those of the configuration. They do
/// not change while the program runs. Thread-safe.
/// </summary>
internal interface IModelSource
{
    RegisteredModel Model { get; }
}

/// <summary>A model from code.</summary>
/// <param name="Name">The name clients send.</param>
/// <param name="Config">
/// As in the configuration. Its one deployment names <paramref name="Provider"/>. The catalogue then knows the provider by its name, so
/// that models of the configuration can name it in their deployments too.
/// </param>
/// <param name="Provider">The adapter; its name is the model's.</param>
internal sealed record RegisteredModel(string Name, ModelConfig Config, Provider Provider);
