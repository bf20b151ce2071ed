using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Errors;

namespace Fairlead.Catalogue;

/// <summary>Suggests the model that was probably meant by an unknown name, among those that the key may use.</summary>
internal static class ModelSuggestion
{
    private const int MaxLength = 96;

    /// <summary>Maximum number of names to compare: an error must not take longer the more models there are.</summary>
    private const int MaxNames = 2_000;

    /// <summary>The error for <paramref name="name"/>, with the nearest name if one is near.</summary>
    /// <param name="catalogue">The available models.</param>
    /// <param name="caller">The caller.</param>
    /// <param name="name">As the client sent it.</param>
    /// <param name="shown">The name as the error may repeat it.</param>
    public static GatewayError NotFound(ICatalogueSnapshot catalogue, Caller caller, string name, string shown)
    {
        var error = GatewayError.ModelNotFound(shown);
        return Nearest(catalogue, caller, name) is { } nearest ? error with { Message = $"{error.Message} Did you mean `{nearest}`?" }
            : error;
    }

    internal static string? Nearest(ICatalogueSnapshot catalogue, Caller caller, string name)
    {
        if (name.Length is 0 or > MaxLength) return null;
        var names = catalogue.Models.Where(model => model.Deployments.Count > 0 && model.Lifecycle.State != LifecycleState.Retired)
            .SelectMany(model => model.Aliases.Prepend(model.Id)
                .Where(known => caller.Models is not { } allowed || allowed.Contains(known) || allowed.Contains(model.Id)))
            .Take(MaxNames).ToList();
        // Other gateways prefix the name with the vendor, and local servers add a size or a date to it.
        var plain = name[(name.LastIndexOf('/') + 1)..];
        return names.Find(known => known.Equals(plain, StringComparison.OrdinalIgnoreCase))
            ?? Suggestion.For(plain, names.Where(known => Math.Abs(known.Length - plain.Length) <= 6))
            ?? (plain.Length < 4 ? null : names.Where(known => IsStart(plain, known) || IsStart(known, plain))
                .MinBy(known => Math.Abs(known.Length - plain.Length)));
    }

    private static bool IsStart(string start, string whole) =>
        whole.Length > start.Length && whole.StartsWith(start, StringComparison.OrdinalIgnoreCase)
            && (whole[start.Length] is '-' or '.' or ':' or '@' or '_');
}
