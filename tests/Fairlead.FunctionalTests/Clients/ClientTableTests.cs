using System.Reflection;

namespace Fairlead.FunctionalTests.Clients;

/// <summary>Checks that the table of clients and features is complete.</summary>
public sealed class ClientTableTests
{
    [Fact]
    public void ClientTable_EachDotNetClientFeature_HasTest()
    {
        var holes = ClientTable.Rows.Where(row => row.Tests is not null).SelectMany(row => row.Features.Except(Shown(row.Tests!)).Select(feature => $"{row.Name} | {feature}"));
        Assert.Empty(holes);
    }

    [Fact]
    public void ClientTable_DotNetTestMarks_AreFeaturesOfTheirClient()
    {
        foreach (var type in typeof(ClientTableTests).Assembly.GetTypes())
        {
            foreach (var feature in Shown(type)) Assert.Contains(feature, ClientTable.Rows.Single(row => row.Tests == type).Features);
        }
    }

    [Fact]
    public void ClientTable_NodeClients_MatchTestFiles()
    {
        var named = ClientTable.Rows.Where(row => row.File is not null).Select(row => row.File!).Distinct().Order(StringComparer.Ordinal);
        Assert.Equal(NodeClientTests.TestFiles.Order(StringComparer.Ordinal), named);
        Assert.All(ClientTable.Rows, row => Assert.True(row.Tests is null != row.File is null, row.Name));
    }

    private static IEnumerable<string> Shown(Type type) =>
        type.GetMethods().Where(method => method.GetCustomAttribute<FactAttribute>() is { Skip: null }).Select(method => method.GetCustomAttribute<ShowsAttribute>()?.Feature).OfType<string>();
}
