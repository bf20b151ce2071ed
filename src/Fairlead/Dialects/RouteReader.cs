using Fairlead.Dialects.FairleadV2;
using Fairlead.Pipeline;

namespace Fairlead.Dialects;

/// <summary>Reads the wishes of a request for its deployments: <c>fairlead.route</c>, in the gateway's own dialect <c>route</c>.</summary>
internal static class RouteReader
{
    private static readonly string[] Known = ["order", "only", "exclude", "max_price", "prefer"];

    private static readonly string[] KnownPrices = ["input", "output"];

    private static readonly string[] Preferences = ["latency", "cost"];

    /// <summary>Reads the object at the position of <paramref name="json"/>; null counts as absent.</summary>
    /// <exception cref="Errors.GatewayErrorException">A field is unknown or has a wrong value.</exception>
    public static RouteHints? Read(ref BodyCursor json)
    {
        if (!json.Object(new FieldPath("fairlead", Middle: "route"))) return null;
        var hints = new RouteHints();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (json.NextMember())
        {
            var name = Member(ref json, "fairlead.route", Known, seen);
            var path = new FieldPath("fairlead", Middle: "route", Tail: name);
            switch (name)
            {
                case "order": hints = hints with { Order = Names(ref json, path) ?? [] }; break;
                case "only": hints = hints with { Only = Names(ref json, path) }; break;
                case "exclude": hints = hints with { Exclude = Names(ref json, path) ?? [] }; break;
                case "prefer": hints = hints with { Prefer = ToPreference(json.Word(path, Preferences)) }; break;
                case "max_price":
                    if (json.Object(path)) hints = Prices(ref json, hints);
                    break;
            }
        }
        return hints;
    }

    /// <summary>The same in the gateway's own dialect.</summary>
    /// <exception cref="Errors.GatewayErrorException">A field is unknown or has a wrong value.</exception>
    public static RouteHints Read(V2Value value)
    {
        var hints = new RouteHints();
        foreach (var (name, field) in value.Members(Known))
        {
            hints = name switch
            {
                "order" => hints with { Order = Names(field) },
                "only" => hints with { Only = Names(field) },
                "exclude" => hints with { Exclude = Names(field) },
                "prefer" => hints with { Prefer = ToPreference(field.Word(Preferences)) },
                _ => Prices(field, hints),
            };
        }
        return hints;
    }

    private static string Member(ref BodyCursor json, string under, string[] known, HashSet<string> seen)
    {
        var name = json.GetString();
        var shown = name.Length > 64 ? name[..64] : name;
        if (!known.Contains(name, StringComparer.Ordinal))
        {
            throw RequestErrors.Invalid($"{under}.{shown}",
                $"The field '{under}.{shown}' is unknown; accepted are {string.Join(", ", known.Select(k => $"'{k}'"))}.",
                "unknown_parameter");
        }
        if (!seen.Add(name)) throw RequestErrors.Duplicate($"{under}.{name}");
        json.Next();
        return name;
    }

    private static RouteHints Prices(ref BodyCursor json, RouteHints hints)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (json.NextMember())
        {
            var name = Member(ref json, "fairlead.route.max_price", KnownPrices, seen);
            var price = json.Number(new FieldPath("fairlead", Middle: "route.max_price", Tail: name), 0, 1_000_000);
            hints = name == "input"
                ? hints with { MaxInputPrice = (decimal?)price }
                : hints with { MaxOutputPrice = (decimal?)price };
        }
        return hints;
    }

    private static RouteHints Prices(V2Value value, RouteHints hints)
    {
        foreach (var (name, field) in value.Members(KnownPrices))
        {
            var price = (decimal)field.Number(0, 1_000_000);
            hints = name == "input" ? hints with { MaxInputPrice = price } : hints with { MaxOutputPrice = price };
        }
        return hints;
    }

    private static List<string>? Names(ref BodyCursor json, FieldPath path)
    {
        if (!json.Array(path)) return null;
        var names = new List<string>();
        while (json.NextItem())
        {
            var item = path with { Innermost = names.Count };
            if (names.Count == RouteHints.MaxNames) throw RequestErrors.Value(path, $"expected at most {RouteHints.MaxNames} names.");
            json.RequiredText(item);
            if (json.Value.IsEmpty) throw RequestErrors.EmptyString(item);
            json.Text(item, RouteHints.MaxNameLength);
            names.Add(json.GetString());
        }
        return names;
    }

    private static string[] Names(V2Value value) =>
        [.. value.Items(RouteHints.MaxNames).Select(item => item.Text(RouteHints.MaxNameLength))];

    private static RoutePreference ToPreference(string? word) => word switch
    {
        "latency" => RoutePreference.Latency,
        "cost" => RoutePreference.Cost,
        _ => RoutePreference.None,
    };
}
