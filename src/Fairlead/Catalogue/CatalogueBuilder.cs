using Fairlead.Configuration;
using Fairlead.Providers;
using Fairlead.Scheduling;

namespace Fairlead.Catalogue;

/// <summary>
/// Builds a catalogue from the configuration, the built-in facts and the models that the embedding program registered, or reports the
/// errors.
/// Thread-safe.
/// </summary>
/// <remarks>
/// 1. Every configured provider becomes an adapter. 2. Registered models come first. 3. Then those listed under <c>models:</c>, each with
/// its own deployments or, for a built-in model, with every provider that offers models of its owner. 4. Last, unlisted, the other built-in
/// models that the configured providers offer.
/// </remarks>
internal sealed class CatalogueBuilder(ProviderKinds kinds, IEnumerable<IModelSource> sources, IServiceProvider services)
{
    private readonly IReadOnlyList<RegisteredModel> _registered = [.. sources.Select(s => s.Model)];

    /// <summary>
    /// Every error of <paramref name="config"/>, in its order; empty when a catalogue can be built from it. Creates no provider.
    /// </summary>
    public IReadOnlyList<CatalogueError> Check(GatewayConfiguration config)
    {
        var errors = new List<CatalogueError>();
        Compose(config, null, errors);
        return errors;
    }

    /// <summary>Names of all models of <paramref name="config"/>, which passed <see cref="Check"/>. Creates no provider.</summary>
    public IReadOnlyList<string> ModelNames(GatewayConfiguration config) => [.. Compose(config, null, []).Select(model => model.Id)];

    /// <summary>
    /// All models of <paramref name="config"/>, which passed <see cref="Check"/>; their deployments have no adapters. Creates no provider.
    /// </summary>
    public IReadOnlyList<CatalogueModel> Models(GatewayConfiguration config) => Compose(config, null, []);

    /// <summary>The catalogue of <paramref name="config"/>, which passed <see cref="Check"/>.</summary>
    /// <param name="config">The configuration.</param>
    /// <param name="previous">Providers that are reused where their configuration did not change.</param>
    /// <exception cref="CatalogueException">There are errors.</exception>
    public CatalogueSnapshot Build(GatewayConfiguration config, ProviderPool? previous = null)
    {
        var errors = new List<CatalogueError>();
        Compose(config, null, errors);
        if (errors.Count > 0) throw new CatalogueException(errors);
        var pool = (previous ?? ProviderPool.Empty).Renew(config.Providers, Create);
        return new CatalogueSnapshot(Compose(config, pool, errors), pool);
    }

    private Provider Create(string name, ProviderConfig config) => kinds.Find(config.Kind)!.Create(name, config, services);

    private List<CatalogueModel> Compose(GatewayConfiguration config, ProviderPool? pool, List<CatalogueError> errors)
    {
        var scope = new Scope(config, pool, errors);
        CheckProviders(scope);
        foreach (var registered in _registered) AddRegistered(scope, registered);
        foreach (var (name, model) in config.Models) AddListed(scope, name, model);
        AddOffered(scope);
        AddNamed(scope);
        CheckAliases(scope);
        CheckOverflow(scope);
        return [.. scope.Models.Values];
    }

    private void CheckProviders(Scope scope)
    {
        foreach (var (name, provider) in scope.Config.Providers)
        {
            var key = $"providers.{name}";
            if (kinds.Find(provider.Kind) is not { } kind)
            {
                var names = string.Join(", ", kinds.All.Select(k => k.Name).Order(StringComparer.Ordinal));
                scope.Error($"{key}.kind", provider.Kind, $"Use one of {names}.");
                continue;
            }
            foreach (var error in kind.Check(provider)) scope.Errors.Add(error with { Key = $"{key}.{error.Key}" });
            if ((provider.ApiKey is not null || provider.ApiKeys.Count > 0) && kind.CredentialHeaderOf(provider) is { } credential
                && provider.Headers.Keys.FirstOrDefault(name => name.Equals(credential, StringComparison.OrdinalIgnoreCase)) is { } twice)
            {
                scope.Error($"{key}.headers.{twice}", null,
                    "The credential is sent in this header already, from apiKey or the environment; keep one of the two.");
            }
            if (provider.ApiVersion is { } version && !kind.TakesApiVersion(provider))
            {
                scope.Error($"{key}.apiVersion", version, "Only Azure's interface has dated versions; remove the key.");
            }
            if (provider.HasSimulation && !kind.TakesSimulation)
            {
                scope.Error($"{key}.simulation", null, "Only the simulated kind accepts it; remove it.");
            }
        }
    }

    private static void AddRegistered(Scope scope, RegisteredModel registered)
    {
        var (name, config, provider) = registered;
        var key = $"models.{name}";
        if (scope.Models.ContainsKey(name))
        {
            scope.Error(key, null, "The program registers two models of this name; rename one.");
            return;
        }
        if (scope.Config.Models.ContainsKey(name))
        {
            scope.Error(key, null, "The program registers a model of this name; rename or remove the one in the configuration.");
        }
        if (scope.Config.Providers.ContainsKey(provider.Name))
        {
            scope.Error($"providers.{provider.Name}", null,
                "The program registers a model of this name, which is a provider's name too; rename the one in the configuration.");
        }
        scope.Errors.AddRange(ModelConfigRules.Check(key, name, config));

        // A program need not state facts: what is unknown is not checked and costs nothing.
        var kind = config.Kind == "embedding" ? ModelKind.Embedding : ModelKind.Chat;
        var model = ModelFacts.Override(ModelFacts.Unknown(kind, config.Capabilities is not null), config) with
        {
            Id = name,
            DisplayName = name,
            OwnedBy = provider.Kind,
            Aliases = config.Aliases,
        };
        var stated = config.Deployments.Count > 0 ? config.Deployments[0] : new DeploymentConfig { Provider = provider.Name };
        var deployment = ToDeployment(scope, stated, stated.Model ?? name, model.Prices, provider,
            stated.Timeouts ?? ProviderTimeouts.Default, config.Scheduling);
        scope.Models[name] = model with { Deployments = [deployment] };
        scope.Registered[provider.Name] = (scope.Models[name], provider);
    }

    private void AddListed(Scope scope, string name, ModelConfig config)
    {
        var key = $"models.{name}";
        var before = scope.Errors.Count;
        scope.Errors.AddRange(ModelConfigRules.Check(key, name, config));
        var candidates = config.Deployments.Count > 0 ? Stated(scope, key, name, config) : Implied(scope, key, name);
        if (candidates.Count == 0) return;

        var known = candidates.Select(c => c.Facts).OfType<CatalogueModel>().ToArray();
        if (known.Length > 0 && known.Any(f => f.Kind != known[0].Kind))
        {
            scope.Error($"{key}.deployments", null, "The list mixes chat and embedding models; define one model for each kind.");
        }
        else if (known.Length > 0 && known[0].Kind == ModelKind.Embedding && known.Any(f => f.Id != known[0].Id))
        {
            var models = string.Join(" and ", known.Select(f => f.Id).Distinct());
            scope.Error($"{key}.deployments", null,
                $"Vectors of {models} cannot be compared with each other; list deployments of one embedding model only.");
        }
        if (config.Kind is "chat" or "embedding" && known.Length > 0
            && (config.Kind == "embedding") != (known[0].Kind == ModelKind.Embedding))
        {
            scope.Error($"{key}.kind", config.Kind, $"{known[0].Id} is of the other kind; leave the key out.");
        }
        if (known.Length < candidates.Count) CheckStated(scope, key, config, candidates.First(c => c.Facts is null));
        if (scope.Errors.Count > before) return;

        var kind = known.Length > 0 ? known[0].Kind : config.Kind == "embedding" ? ModelKind.Embedding : ModelKind.Chat;
        // A deployment outside the catalogue has the properties that the configuration states for the model.
        var ground = known.Length > 0
            ? ModelFacts.MostRestrictive(known)
            : ModelFacts.Unknown(kind, statesCapabilities: true) with { OwnedBy = candidates[0].Config.Provider };
        var model = ModelFacts.Override(ground, config);
        var hasDifferentModels = candidates.Select(c => c.ModelName).Distinct(StringComparer.Ordinal).Skip(1).Any();
        scope.Models[name] = model with
        {
            Id = name,
            DisplayName = name,
            Aliases = config.Aliases,
            HasDifferentModels = hasDifferentModels,
            Deployments = [.. candidates
                .Select(c => ToDeployment(
                    scope, c.Config, c.Upstream, config.Prices is null ? c.Facts!.Prices : model.Prices, c.Provider, c.Config.Timeouts
                        ?? c.Timeouts, config.Scheduling)
                        with { ReportedModel = hasDifferentModels && !config.HidesAnsweringModel ? c.ModelName : null })
                .OrderBy(d => d.Priority)],
        };
    }

    private List<Candidate> Stated(Scope scope, string key, string name, ModelConfig config)
    {
        var candidates = new List<Candidate>();
        var seen = new HashSet<(string, string)>();
        for (var i = 0; i < config.Deployments.Count; i++)
        {
            var stated = config.Deployments[i];
            var at = $"{key}.deployments[{i}]";
            var upstream = stated.Model ?? name;
            if (scope.Registered.TryGetValue(stated.Provider, out var registered))
            {
                // A deployment of a registered model has the name that the program gave it, whatever the configuration states.
                upstream = stated.Model ?? registered.Model.Deployments[0].UpstreamModel;
                scope.Errors.AddRange(ProbeConfigRules.Check(at, stated, hasAddress: false));
                candidates.Add(new Candidate(stated, upstream, registered.Model, registered.Provider,
                    registered.Model.Deployments[0].Timeouts));
            }
            else if (scope.Config.Providers.TryGetValue(stated.Provider, out var provider))
            {
                if (stated.Timeouts?.Connect > provider.Timeouts.Connect)
                {
                    scope.Error($"{at}.timeouts.connect", $"{stated.Timeouts.Connect}",
                        $"The provider owns the connections and waits {provider.Timeouts.Connect} for one; "
                        + $"raise providers.{stated.Provider}.timeouts.connect.");
                }
                var hasAddress = kinds.Find(provider.Kind)?.AddressOf(provider) is not null;
                scope.Errors.AddRange(ProbeConfigRules.Check(at, stated, hasAddress));
                var facts = BuiltInModels.Find(upstream);
                // It has only its own models, which no other provider has: the simulated kind.
                var exclusive = kinds.Find(provider.Kind) is { HasOnlyItsOwnModels: true, ModelOwner: { } owner } ? owner : null;
                if (exclusive is not null && facts?.OwnedBy != exclusive)
                {
                    var own = string.Join(", ", BuiltInModels.All.Where(m => m.OwnedBy == exclusive).Select(m => m.Id));
                    scope.Error(stated.Model is null ? at : $"{at}.model", upstream,
                        $"The {exclusive} provider has the models {own}; set model to one of them.");
                    continue;
                }
                if (exclusive is null)
                {
                    if (facts is not null && kinds.IsExclusiveOwner(facts.OwnedBy)) facts = null;
                    // The provider may use its own name for a model that the catalogue has under another name.
                    facts ??= BuiltInModels.Find(name);
                }
                candidates.Add(new Candidate(stated, upstream, facts, scope.ProviderOf(stated.Provider), provider.Timeouts));
            }
            else
            {
                var names = string.Join(", ", scope.Config.Providers.Keys.Order(StringComparer.Ordinal));
                scope.Error($"{at}.provider", stated.Provider,
                    $"No provider has this name; configured providers are {(names.Length == 0 ? "none" : names)}. "
                    + "Correct the name or add it under providers.");
                continue;
            }
            if (!seen.Add((stated.Provider, upstream)))
            {
                scope.Error(at, $"{stated.Provider}/{upstream}", "The same deployment is listed twice; keep one and set its weight.");
            }
        }
        return candidates;
    }

    private List<Candidate> Implied(Scope scope, string key, string name)
    {
        if (BuiltInModels.Find(name) is not { } facts)
        {
            scope.Error($"{key}.deployments", null,
                "List at least one deployment: { provider, model }; only a model of the built-in catalogue needs none.");
            return [];
        }
        var candidates = Offering(scope, facts);
        if (candidates.Count == 0)
        {
            scope.Error($"{key}.deployments", null,
                $"No configured provider is known to offer {facts.Id} of {facts.OwnedBy}; add one under providers, or list a deployment.");
        }
        return candidates;
    }

    private void AddOffered(Scope scope)
    {
        var taken = scope.Config.Models.Values.SelectMany(m => m.Aliases)
            .Concat(scope.Models.Values.SelectMany(m => m.Aliases)).ToHashSet(StringComparer.Ordinal);
        foreach (var facts in BuiltInModels.All)
        {
            // A listed model of this name replaces it. An alias of this name points elsewhere on purpose.
            if (scope.Models.ContainsKey(facts.Id) || scope.Config.Models.ContainsKey(facts.Id) || taken.Contains(facts.Id)) continue;
            var candidates = Offering(scope, facts);
            if (candidates.Count == 0) continue;
            scope.Models[facts.Id] = facts with
            {
                Aliases = [.. facts.Aliases.Where(a =>
                    !scope.Config.Models.ContainsKey(a) && !scope.Models.ContainsKey(a) && !taken.Contains(a))],
                Deployments = [.. candidates.Select(c =>
                    ToDeployment(scope, c.Config, c.Upstream, facts.Prices, c.Provider, c.Timeouts, null))],
            };
        }
    }

    // Models of stored providers, by the name of their deployment. What is not known of them is not checked and costs nothing.
    private static void AddNamed(Scope scope)
    {
        foreach (var (name, provider) in scope.Config.Providers)
        {
            foreach (var upstream in provider.OfferedModels)
            {
                var id = $"{name}/{upstream}";
                if (scope.Models.ContainsKey(id)) continue;
                var facts = BuiltInModels.Find(upstream) ?? ModelFacts.Unknown(ModelKind.Chat, statesCapabilities: false) with { OwnedBy = name };
                scope.Models[id] = facts with
                {
                    Id = id,
                    DisplayName = id,
                    Aliases = [],
                    Deployments = [ToDeployment(scope, new DeploymentConfig { Provider = name }, upstream, facts.Prices,
                        scope.ProviderOf(name), provider.Timeouts, null)],
                };
            }
        }
    }

    private List<Candidate> Offering(Scope scope, CatalogueModel facts)
    {
        var candidates = new List<Candidate>();
        foreach (var (name, provider) in scope.Config.Providers)
        {
            if (kinds.ModelOwnerOf(name, provider) != facts.OwnedBy) continue;
            candidates.Add(new Candidate(new DeploymentConfig { Provider = name }, facts.Id, facts, scope.ProviderOf(name),
                provider.Timeouts));
        }
        return candidates;
    }

    private static void CheckStated(Scope scope, string key, ModelConfig config, Candidate unknown)
    {
        var why = $"{unknown.Config.Provider}/{unknown.Upstream} is not in the built-in catalogue";
        if (config.ContextWindow is null) scope.Error($"{key}.contextWindow", null, $"{why}: state its context window in tokens.");
        if (config.Prices is null)
        {
            scope.Error($"{key}.prices", null,
                $"{why}: state its prices in US dollars per million tokens, {{ input: 0, output: 0 }} when it costs nothing.");
        }
        if (config.Capabilities is null && config.Kind != "embedding")
        {
            scope.Error($"{key}.capabilities", null,
                $"{why}: state what it can do, {{ tools, jsonSchema, reasoning, logprobs, prefill }}, "
                + "{ tools: false } for none of these.");
        }
    }

    private static void CheckAliases(Scope scope)
    {
        var owner = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, aliases) in scope.Registered.Values.Select(r => (r.Model.Id, r.Model.Aliases))
            .Concat(scope.Config.Models.Select(m => (m.Key, m.Value.Aliases))))
        {
            for (var i = 0; i < aliases.Count; i++)
            {
                var alias = aliases[i];
                if (scope.Config.Models.ContainsKey(alias) || scope.Registered.Values.Any(r => r.Model.Id == alias))
                {
                    scope.Error($"models.{name}.aliases[{i}]", alias,
                        alias == name
                            ? "A model needs no alias of its own name; remove it."
                            : "Another model already has this name; choose another alias or rename the model.");
                }
                else if (!owner.TryAdd(alias, name))
                {
                    scope.Error($"models.{name}.aliases[{i}]", alias,
                        owner[alias] == name
                            ? "The alias is listed twice; remove one."
                            : $"The model {owner[alias]} already has this alias; an alias belongs to one model.");
                }
            }
        }
    }

    private static void CheckOverflow(Scope scope)
    {
        foreach (var (name, config) in scope.Config.Models)
        {
            if (config.OnOverflow is not { } larger || !scope.Models.TryGetValue(name, out var model)) continue;
            var target = scope.Models.GetValueOrDefault(larger)
                ?? scope.Models.Values.FirstOrDefault(candidate => candidate.Aliases.Contains(larger));
            if (target is null) scope.Error($"models.{name}.onOverflow", larger, "No model has this name; name one that clients can call.");
            else if (target.Kind != model.Kind || !OverflowModel.IsLarger(target, model))
            {
                scope.Error($"models.{name}.onOverflow", larger,
                    $"Name a model of the same kind with a larger window than {model.ContextWindow} tokens.");
            }
        }
    }

    private static Deployment ToDeployment(
        Scope scope, DeploymentConfig config, string upstream, PriceList prices, Provider? provider, ProviderTimeouts timeouts,
        ModelSchedulingConfig? scheduling) => new()
    {
        Name = $"{config.Provider}/{upstream}",
        ProviderName = config.Provider,
        UpstreamModel = upstream,
        Priority = config.Priority,
        Weight = config.Weight,
        MaxConcurrency = config.MaxConcurrency,
        IsAdaptive = scope.Config.Scheduling.With(scheduling).Adaptive,
        Timeouts = timeouts,
        Probe = config.Probe,
        SaysReasoning = scope.Config.Providers.GetValueOrDefault(config.Provider)?.ReasoningField == "reasoning",
        Prices = prices,
        Provider = provider!,
    };

    /// <param name="Config">As listed, or implied.</param>
    /// <param name="Upstream">The model's name at the provider.</param>
    /// <param name="Facts">From the catalogue; null if it does not have the model.</param>
    /// <param name="Provider">Null while only checking.</param>
    /// <param name="Timeouts">The provider's.</param>
    private sealed record Candidate(
        DeploymentConfig Config, string Upstream, CatalogueModel? Facts, Provider? Provider, ProviderTimeouts Timeouts)
    {
        /// <summary>The catalogue's name of the model if it has one, else the provider's.</summary>
        public string ModelName => Facts?.Id ?? Upstream;
    }

    private sealed class Scope(GatewayConfiguration config, ProviderPool? pool, List<CatalogueError> errors)
    {
        public GatewayConfiguration Config { get; } = config;

        public List<CatalogueError> Errors { get; } = errors;

        public Dictionary<string, CatalogueModel> Models { get; } = new(StringComparer.Ordinal);

        /// <summary>Models of the embedding program by the name of their provider.</summary>
        public Dictionary<string, (CatalogueModel Model, Provider Provider)> Registered { get; } = new(StringComparer.Ordinal);

        public void Error(string key, string? value, string remedy) => Errors.Add(new CatalogueError(key, value, remedy));

        public Provider? ProviderOf(string name) => pool is not null && pool.TryGet(name, out var provider) ? provider : null;
    }
}
