using System.Reflection;

namespace Fairlead.Tests;

/// <summary>The public types are what an app that embeds the gateway needs, and no others: each is an entry point or appears in the signature of one.</summary>
public sealed class PublicApiTests
{
    /// <summary>What a builder names in code; everything else public must be reachable from here.</summary>
    private static readonly string[] EntryPoints =
    [
        "FairleadApplicationBuilderExtensions", "FairleadBuilder", "FairleadEndpointOptions", "ModelRegistrationExtensions", "GatewayCallExtensions", "GatewayCall",
        "ApplicationCaller", "Scopes", "ConfigurationException", "GatewayErrorException",
    ];

    [Fact]
    public void PublicTypes_All_AreEntryPointsOrInTheirSignatures()
    {
        var all = typeof(FairleadBuilder).Assembly.GetExportedTypes().Where(type => !type.IsNested).ToList();
        var reached = new HashSet<Type>(all.Where(type => EntryPoints.Contains(type.Name)));
        Assert.Equal(EntryPoints.Length, reached.Count);
        var open = new Queue<Type>(reached);
        while (open.TryDequeue(out var type))
        {
            foreach (var used in Signatures(type).SelectMany(Parts))
            {
                if (used.Assembly == typeof(FairleadBuilder).Assembly && reached.Add(used)) open.Enqueue(used);
            }
        }
        var others = all.Where(type => !reached.Contains(type)).Select(type => type.FullName).Order(StringComparer.Ordinal).ToList();
        Assert.True(others.Count == 0, "Public, but no entry point and in no signature of one: " + string.Join(", ", others));
    }

    private static IEnumerable<Type> Signatures(Type type)
    {
        const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        if (type.BaseType is { } parent) yield return parent;
        foreach (var contract in type.GetInterfaces()) yield return contract;
        foreach (var nested in type.GetNestedTypes()) yield return nested;
        foreach (var method in type.GetMethods(Declared).Where(IsVisible))
        {
            // Members that the compiler makes for records say nothing of their own.
            yield return method.ReturnType;
            foreach (var parameter in method.GetParameters()) yield return parameter.ParameterType;
        }
        foreach (var constructor in type.GetConstructors(Declared).Where(IsVisible))
        {
            foreach (var parameter in constructor.GetParameters()) yield return parameter.ParameterType;
        }
        foreach (var field in type.GetFields(Declared).Where(field => field.IsPublic || field.IsFamily)) yield return field.FieldType;
    }

    private static bool IsVisible(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;

    private static IEnumerable<Type> Parts(Type type)
    {
        if (type.HasElementType) return Parts(type.GetElementType()!);
        return type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts).Append(type.GetGenericTypeDefinition()) : [type];
    }
}
