using System.Runtime.CompilerServices;
using Fairlead.Access;
using Fairlead.Catalogue;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace Fairlead.FunctionalTests.Limits;

/// <summary>The catalogue with the same limits on every model.</summary>
internal sealed class LimitedCatalogue(ICatalogue inner, LimitSet limits) : ICatalogue, ICatalogueSnapshot
{
    private readonly ConditionalWeakTable<CatalogueModel, CatalogueModel> _models = [];

    public ICatalogueSnapshot Current => this;

    public IReadOnlyList<CatalogueModel> Models => [.. inner.Current.Models.Select(Limited)];

    public CatalogueModel? Find(string name) => inner.Current.Find(name) is { } model ? Limited(model) : null;

    // One object for each, as in a snapshot.
    private CatalogueModel Limited(CatalogueModel model) => _models.GetValue(model, known => known with { Limits = limits });
}

internal static class LimitedCatalogueExtensions
{
    public static void AddModelLimits(this IServiceCollection services, LimitSet limits)
    {
        var inner = services.Last(service => service.ServiceType == typeof(ICatalogue));
        services.Replace(ServiceDescriptor.Singleton<ICatalogue>(provider => new LimitedCatalogue((ICatalogue)(inner.ImplementationFactory?.Invoke(provider)
            ?? ActivatorUtilities.CreateInstance(provider, inner.ImplementationType!)), limits)));
    }
}
